package main

import (
	"fmt"
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
