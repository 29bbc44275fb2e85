package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// room is what the guest has for one thing that it is told: what is longer it does not look at.
const room = 16 * 1024

// First segments of Dapr's API: what is below them is no delivery, whatever its headers say.
var api = strings.Fields(`state invoke actors healthz metadata secrets bindings configuration lock unlock workflows jobs
	conversation crypto subtlecrypto shutdown publish`)

// record says, from docs/records.md and with Go's own libraries, which Dapr uses too, what the guest should make of the
// call: the fields of the record, but for those that take a clock; nil if there should be none.
func (c *randomised) record() map[string]string {
	target := c.target()
	uri := target.EscapedPath()
	if uri == "" {
		uri = "/"
	}
	total := len(uri)
	if target.ForceQuery || target.RawQuery != "" {
		total += len("?" + target.RawQuery)
	}
	if total > room {
		return nil
	}
	fields, elsewhere := published(uri)
	switch {
	case fields != nil:
		if c.method != http.MethodPost && c.method != http.MethodPut {
			return nil
		}
		fields["bytes"] = c.number("Content-Length", math.MaxUint64)
		fields["outcome"] = "error"
		if status := c.statusSeen(); status/100 == 2 {
			fields["outcome"] = "success"
		}
	case elsewhere:
		component, topic := cut(lossy(c.first("Pubsubname"))), cut(lossy(c.first("__topic")))
		switch {
		case component == "":
			return nil
		case topic != "":
			fields = map[string]string{"dir": "deliver", "pubsub": component, "topic": topic, "outcome": c.outcome(false)}
			fields["partition"] = c.number("__partition", math.MaxUint32)
			fields["offset"] = c.number("__offset", math.MaxUint64)
		case c.first("Content-Type") == "application/json":
			if target.ForceQuery || target.RawQuery != "" {
				uri += "?" + target.RawQuery
			}
			fields = map[string]string{"dir": "deliver", "pubsub": component, "route": cut(lossy(uri)), "bulk": "true", "outcome": c.outcome(true)}
		default:
			return nil
		}
	default:
		return nil
	}
	if status := c.statusSeen(); status != 0 {
		fields["status"] = strconv.Itoa(status)
	}
	if fields["dir"] == "deliver" && c.statusSeen() == 200 && c.isBare() {
		delete(fields, "status")
		fields["outcome"] = "retry"
	}
	if trace := traceForm.FindStringSubmatch(c.first("Traceparent")); isTrace(trace) {
		fields["trace"] = trace[2]
	}
	return fields
}

// published returns what a path says of a publish, or else whether it may lead to the app.
func published(uri string) (fields map[string]string, elsewhere bool) {
	if !strings.HasPrefix(uri, "/") {
		return nil, true
	}
	version, rest, _ := strings.Cut(strings.TrimPrefix(path.Clean(uri), "/"), "/")
	stage, versioned := strings.CutPrefix(version, "v1.0")
	if !versioned || stage != "" && !strings.HasPrefix(stage, "-") {
		return nil, true
	}
	name, parameters, _ := strings.Cut(rest, "/")
	if !slices.Contains(api, name) {
		return nil, true
	}
	if name != "publish" || stage != "" && stage != "-alpha1" {
		return nil, false
	}
	if rest, bulk := strings.CutPrefix(parameters, "bulk/"); bulk {
		if component, topic, _ := strings.Cut(rest, "/"); topic != "" {
			return map[string]string{"dir": "publish", "pubsub": unescaped(component), "topic": unescaped(topic), "bulk": "true"}, false
		}
	}
	if component, topic, _ := strings.Cut(parameters, "/"); topic != "" && stage == "" {
		return map[string]string{"dir": "publish", "pubsub": unescaped(component), "topic": unescaped(topic)}, false
	}
	return nil, false
}

func unescaped(text string) string {
	plain, err := url.QueryUnescape(text)
	if err != nil {
		panic(err) // An escaped path has no wrong escapes.
	}
	return cut(lossy(plain))
}

// outcome is what Dapr makes of the answer (Deliver and DeliverBulk of pkg/runtime/subscription/postman/http/http.go).
func (c *randomised) outcome(bulk bool) string {
	switch status := c.statusSeen(); {
	case status == 0:
		return "error"
	case status == http.StatusNotFound:
		return "drop"
	case status/100 != 2:
		return "retry"
	case bulk:
		return outcomeOfBulk(c.wholeAnswer())
	}
	return outcomeOf(c.wholeAnswer())
}

// The types of answers are those of components-contrib's pubsub/responses.go.
func outcomeOf(body []byte) string {
	var answer struct {
		Status string `json:"status"`
	}
	if decode(body, &answer) != nil {
		return "success"
	}
	switch answer.Status {
	case "", "SUCCESS":
		return "success"
	case "DROP":
		return "drop"
	}
	return "retry"
}

// outcomeOfBulk takes each entry for one that Dapr has sent, if it says which, and all that Dapr has sent to be there.
func outcomeOfBulk(body []byte) string {
	var answer struct {
		Statuses []struct {
			EntryID string `json:"entryId"`
			Status  string `json:"status"`
		} `json:"statuses"`
	}
	if decode(body, &answer) != nil || len(answer.Statuses) == 0 || lists(body) > 1 {
		return "retry"
	}
	outcome := "success"
	for _, entry := range answer.Statuses {
		switch {
		case entry.EntryID != "" && entry.Status == "SUCCESS":
		case entry.EntryID != "" && entry.Status == "DROP":
			outcome = "drop"
		default:
			return "retry"
		}
	}
	return outcome
}

// decode takes the first value, as Dapr does, unless it is deeper than the guest follows.
func decode(body []byte, answer any) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	if err := decoder.Decode(answer); err != nil {
		return err
	}
	if depth(body[:decoder.InputOffset()]) > 64 {
		return errors.New("too deep")
	}
	return nil
}

// lists counts how often an answer has `statuses`. Go would write the second list over the first.
func lists(body []byte) (count int) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	if start, _ := decoder.Token(); start != json.Delim('{') {
		return 0
	}
	for decoder.More() {
		name, _ := decoder.Token()
		if strings.EqualFold(name.(string), "statuses") {
			count++
		}
		var value json.RawMessage
		if decoder.Decode(&value) != nil {
			return count
		}
	}
	return count
}

func depth(value []byte) (deepest int) {
	decoder := json.NewDecoder(bytes.NewReader(value))
	decoder.UseNumber()
	for level := 0; ; {
		token, err := decoder.Token()
		if err == io.EOF {
			return deepest
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			level++
			deepest = max(deepest, level)
		case json.Delim('}'), json.Delim(']'):
			level--
		}
	}
}

// statusSeen is 0 if the handler panics: what it said until then does not count.
func (c *randomised) statusSeen() int {
	switch {
	case c.panicked():
		return 0
	case c.status == 0:
		return http.StatusOK
	}
	return c.status
}

// isBare is what daprd's handler leaves of an app that could not be reached. The host counts no trailers.
func (c *randomised) isBare() bool {
	for name := range c.answerHeader {
		if !strings.HasPrefix(name, http.TrailerPrefix) {
			return false
		}
	}
	return len(c.wholeAnswer()) == 0
}

func (c *randomised) wholeAnswer() []byte { return bytes.Join(c.pieces, nil) }

// first value of a header, if all of its values fit.
func (c *randomised) first(name string) string {
	values := c.header[http.CanonicalHeaderKey(name)]
	total := 0
	for _, value := range values {
		total += len(value) + 1
	}
	if len(values) == 0 || total > room {
		return ""
	}
	if len(values) == 1 {
		return values[0]
	}
	// Where one value ends and the next begins, a NUL says; there is none in what a server lets in.
	value, _, _ := strings.Cut(values[0], "\x00")
	return value
}

func (c *randomised) number(header string, most uint64) string {
	number, err := strconv.ParseUint(c.first(header), 10, 64)
	if err != nil || number > most {
		return ""
	}
	return strconv.FormatUint(number, 10)
}

// timestamp in milliseconds; Go's zero time, which Kafka's component sends for none, is none.
func timestamp(text string) (uint64, bool) {
	number, err := strconv.ParseUint(text, 10, 64)
	return number, err == nil && number > 0
}

var traceForm = regexp.MustCompile(`^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?s:-.*)?$`)

func isTrace(parts []string) bool {
	return parts != nil && parts[1] != "ff" && strings.Trim(parts[2], "0") != "" && strings.Trim(parts[3], "0") != "" &&
		(parts[1] != "00" || len(parts[0]) == 55)
}

// addAttributes adds what the guest should.
func (c *randomised) addAttributes(header http.Header, record map[string]string) {
	if record["dir"] != "publish" {
		return
	}
	if trace := traceForm.FindStringSubmatch(c.first("Traceparent")); isTrace(trace) {
		if flags, _ := strconv.ParseUint(trace[4], 16, 8); flags&1 == 0 {
			return
		}
	}
	// The others are the same on each publish: the Collector adds them.
	const name = "Dapr-Messaging.destination.name"
	if len(header[name]) == 0 {
		header[name] = []string{record["topic"]}
	}
}

// lossy replaces what is not UTF-8 as browsers and Rust do: each longest part of what could have been a character.
func lossy(text string) string {
	var valid strings.Builder
	for text != "" {
		char, size := utf8.DecodeRuneInString(text)
		if char == utf8.RuneError && size == 1 {
			for part := min(3, len(text)); part > 1; part-- {
				if !utf8.FullRuneInString(text[:part]) {
					size = part
					break
				}
			}
		}
		valid.WriteRune(char)
		text = text[size:]
	}
	return valid.String()
}

// cut keeps the characters that fit.
func cut(text string) string {
	for at, char := range text {
		if at+utf8.RuneLen(char) > longestOf {
			return text[:at]
		}
	}
	return text
}
