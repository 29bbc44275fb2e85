// Runs guests in Dapr's own WebAssembly middleware: says what a call costs with each, and looks for a call that one of
// them cannot take.
//
//	host pages GUEST                  the pages of memory that a guest begins with
//	host time CALL LOGGER NOOP GUEST… nanoseconds per call: of each round one for each guest, as JSON
//	host answers ONE BULK             checks two files of answers against what Go's JSON makes of them
//	host fuzz GUEST SEED FROM CALLS   sends random calls and checks what comes of each; FROM is the first one's number
//	host random SEED FROM CALLS       prints these calls, as JSON
//	host replay GUEST                 reads calls in that form and prints what becomes of each
//
// CALL is one of those in calls.go. LOGGER says who takes the lines that a guest logs: `nobody`, so that only the host
// and the guest are measured, or `dapr`, whose logger then writes them to the null device.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}

func run(arguments []string) error {
	var result any
	var err error
	switch {
	case len(arguments) == 2 && arguments[0] == "pages":
		result, err = pages(arguments[1])
	case len(arguments) >= 5 && arguments[0] == "time":
		result, err = compare(arguments[1], arguments[2], arguments[3:])
	case len(arguments) == 3 && arguments[0] == "answers":
		return checkAnswers([2]string(arguments[1:]))
	case len(arguments) == 5 && arguments[0] == "fuzz":
		return watched(arguments[1], [3]string(arguments[2:]))
	case len(arguments) == 5 && arguments[0] == "fuzzing": // What the one above starts.
		return fuzz(arguments[1], [3]string(arguments[2:]))
	case len(arguments) == 4 && arguments[0] == "random":
		numbers, err := parsed([3]string(arguments[1:]))
		if err != nil {
			return err
		}
		return randomCalls(numbers[0], numbers[1], numbers[2])
	case len(arguments) == 2 && arguments[0] == "replay":
		return replay(arguments[1], os.Stdin)
	default:
		err = errors.New("usage: host pages GUEST | host time CALL nobody|dapr NOOP GUEST... | host answers ONE BULK | host fuzz GUEST SEED FROM CALLS | host random SEED FROM CALLS | host replay GUEST")
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}
