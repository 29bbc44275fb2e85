package main

import (
	"fmt"
	"math/rand/v2"
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

// compare times guests in turns, so that what slows the machine down for a while slows all of them. The first does
// nothing, the others log.
func compare(name, sink string, paths []string) ([][]float64, error) {
	// One thread: the work is measured, not how well it spreads.
	runtime.GOMAXPROCS(1)
	call, found := calls[name]
	if !found {
		return nil, fmt.Errorf("no such call: %s", name)
	}
	var guests []*guest
	for i, path := range paths {
		guest, err := load(path, &call, sink == "dapr")
		if err == nil {
			err = guest.check(min(i, 1) * call.lines)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		guests = append(guests, guest)
	}
	round(guests) // to warm up
	var nanos [][]float64
	for range rounds {
		nanos = append(nanos, round(guests))
	}
	return nanos, nil
}

// round returns nanoseconds per call, making the call included, as in the benchmark that Dapr has of this middleware.
func round(guests []*guest) []float64 {
	nanos := make([]float64, len(guests))
	for range turns {
		// In any order: who comes after whom makes a difference, since one leaves garbage for the next to collect.
		for _, i := range rand.Perm(len(guests)) {
			guest := guests[i]
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
