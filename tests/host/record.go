package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"time"
)

// What docs/records.md allows a line to be, written down a second time so that nothing is shared with the writer or the
// reader in Rust: which fields, in which order, nothing but printable ASCII without <, > and &.
var recordForm = regexp.MustCompile(`^\{"lf":1,"dir":"(?P<dir>publish|deliver)"` +
	`,"pubsub":(?P<pubsub>` + textForm + `),(?:"topic":(?P<topic>` + textForm + `)|"route":(?P<route>` + textForm + `))` +
	`,"outcome":"(?P<outcome>success|retry|drop|error)"` +
	optional("status", `[1-9][0-9]{2}`) + optional("us", numberForm) + optional("bytes", numberForm) +
	optional("bulk", `true`) + optional("partition", numberForm) + optional("offset", numberForm) +
	optional("age_ms", numberForm) + `(?:,"trace":"(?P<trace>[0-9a-f]{32})")?\}$`)

const (
	textForm   = `"(?:[ !#-%'-;=?-\[\]-~]|\\["\\]|\\u[0-9a-f]{4})+"`
	numberForm = `0|[1-9][0-9]*`
	longest    = 3335 // bytes of a line
	longestOf  = 255  // bytes of a name
)

func optional(name, form string) string {
	return fmt.Sprintf(`(?:,"%s":(?P<%[1]s>%s))?`, name, form)
}

// readRecord returns the fields that are there, names decoded.
func readRecord(line string) (map[string]string, error) {
	if len(line) > longest {
		return nil, fmt.Errorf("a line of %d bytes", len(line))
	}
	groups := recordForm.FindStringSubmatch(line)
	if groups == nil {
		return nil, errors.New("the line is no record")
	}
	fields := map[string]string{}
	for i, name := range recordForm.SubexpNames() {
		if name == "" || groups[i] == "" {
			continue
		}
		fields[name] = groups[i]
		if name == "pubsub" || name == "topic" || name == "route" {
			var text string
			if err := json.Unmarshal([]byte(groups[i]), &text); err != nil {
				return nil, err
			}
			if len(text) > longestOf {
				return nil, fmt.Errorf("%s has %d bytes", name, len(text))
			}
			fields[name] = text
		}
	}
	return fields, nil
}

// checkLines holds what was logged to what should have been.
func checkLines(lines []string, want map[string]string, call *randomised, met *meeting) error {
	switch {
	case want == nil && len(lines) == 0:
		return nil
	case want == nil || len(lines) != 1:
		return fmt.Errorf("%d lines are logged, and the record is %v: %.4000q", len(lines), want, lines)
	}
	got, err := readRecord(lines[0])
	if err != nil {
		return fmt.Errorf("%w: %.4000q", err, lines[0])
	}
	var faults []error
	for _, name := range recordForm.SubexpNames()[1:] {
		var fine bool
		switch name {
		case "us":
			fine = within(got[name], met.took.Microseconds(), met.after.Sub(met.before).Microseconds())
		case "age_ms":
			then, known := timestamp(call.first("__timestamp"))
			if known = known && want["dir"] == "deliver" && want["bulk"] == ""; known {
				fine = within(got[name], age(met.before, then), age(met.after, then)) || got[name] == "" && then > math.MaxInt64
			} else {
				fine = got[name] == ""
			}
		case "partition", "offset", "bytes":
			// What is larger than any that there is may be left out.
			fine = got[name] == want[name] || got[name] == "" && beyond(want[name])
		default:
			fine = got[name] == want[name]
		}
		if !fine {
			faults = append(faults, fmt.Errorf("%s is %q instead of %q: %s", name, got[name], want[name], lines[0]))
		}
	}
	return errors.Join(faults...)
}

func within(text string, least, most int64) bool {
	number, err := strconv.ParseUint(text, 10, 64)
	return err == nil && number >= uint64(least) && number <= uint64(most)
}

// age of an event is never less than nothing: clocks differ.
func age(now time.Time, then uint64) int64 {
	if then > math.MaxInt64 {
		return 0
	}
	return max(0, now.UnixMilli()-int64(then))
}

func beyond(text string) bool {
	number, err := strconv.ParseUint(text, 10, 64)
	return err == nil && number > math.MaxInt64
}
