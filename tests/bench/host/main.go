// Runs guests in Dapr's own WebAssembly middleware and says what a call costs with each.
//
//	host pages GUEST                  the pages of memory that a guest begins with
//	host time CALL LOGGER NOOP GUEST  nanoseconds per call: of each round a pair, as JSON
//
// CALL is one of those in calls.go. LOGGER says who takes the lines that a guest logs: `nobody`, so that only the host
// and the guest are measured, or `dapr`, whose logger then writes them to the null device.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"
)

// A round has enough requests for several runs of the garbage collector: what a guest makes the host allocate counts.
const (
	rounds   = 25
	turns    = 4    // in a round
	requests = 2000 // in a turn
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	var result any
	var err error
	switch {
	case len(arguments) == 2 && arguments[0] == "pages":
		result, err = pages(arguments[1])
	case len(arguments) == 5 && arguments[0] == "time":
		result, err = compare(arguments[1], arguments[2], [2]string(arguments[3:]))
	default:
		err = errors.New("usage: host pages GUEST | host time CALL nobody|dapr NOOP GUEST")
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

// compare times two guests in turns, so that what slows the machine down for a while slows both of them.
func compare(name, sink string, paths [2]string) ([][2]float64, error) {
	// One thread: the work is measured, not how well it spreads.
	runtime.GOMAXPROCS(1)
	call, found := calls[name]
	if !found {
		return nil, fmt.Errorf("no such call: %s", name)
	}
	var guests [2]*guest
	for i, lines := range [2]int{0, call.lines} {
		var err error
		if guests[i], err = load(paths[i], &call, sink == "dapr"); err == nil {
			err = guests[i].check(lines)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", paths[i], err)
		}
	}
	round(guests) // to warm up
	var pairs [][2]float64
	for range rounds {
		pairs = append(pairs, round(guests))
	}
	return pairs, nil
}

// round returns nanoseconds per call, making the call included, as in the benchmark that Dapr has of this middleware.
func round(guests [2]*guest) (nanos [2]float64) {
	for range turns {
		for i, guest := range guests {
			started := cpu()
			for range requests {
				guest.send()
			}
			nanos[i] += float64(cpu()-started) / (turns * requests)
		}
	}
	return nanos
}

// cpu is how long this process has worked. The wall clock would count the work of others.
func cpu() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
