package main

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// As long as it may take to make a call simpler.
const patience = 20 * time.Second

// fuzzing is one run: workers take numbers of calls until there are no more or one of them has found something.
type fuzzing struct {
	guest       string
	seed        uint64
	first, end  uint64
	next        atomic.Uint64
	stop        atomic.Bool
	publishes   atomic.Uint64
	deliveries  atomic.Uint64
	found       sync.Once
	begun       time.Time
	beats       beats
	workersDone sync.WaitGroup
}

// fuzz ends the process with 1 if a call came to harm.
func fuzz(guest string, numbers [3]string) error {
	of, err := parsed(numbers)
	if err != nil {
		return err
	}
	seed, first, calls := of[0], of[1], of[2]
	f := fuzzing{guest: guest, seed: seed, first: first, end: first + calls, begun: time.Now(), beats: beats{os.NewFile(3, "beats")}}
	f.next.Store(first)
	// More than there are cores, so that they get in each other's way.
	workers := make([]*worker, 2*runtime.GOMAXPROCS(0))
	for i := range workers {
		player, err := newPlayer(guest)
		if err != nil {
			return err
		}
		workers[i] = &worker{player, i}
	}
	for _, worker := range workers {
		f.workersDone.Go(func() { f.work(worker) })
	}
	go f.show()
	f.workersDone.Wait()
	if f.stop.Load() {
		select {} // Whoever has found something ends the process.
	}
	fmt.Printf("%s\n", f.summary(calls))
	return nil
}

// parsed is a seed, the number of the first call, and how many there are.
func parsed(numbers [3]string) (parsed [3]uint64, err error) {
	for i, text := range numbers {
		if parsed[i], err = strconv.ParseUint(text, 10, 64); err != nil {
			return parsed, err
		}
	}
	if parsed[1] > math.MaxUint64-parsed[2] {
		return parsed, fmt.Errorf("no call has the number %d + %d", parsed[1], parsed[2])
	}
	return parsed, nil
}

// worker has a middleware of its own, since a line that a guest logs does not say of which call it is. Calls inside of
// calls make several instances of the guest work in it at once.
type worker struct {
	*player
	index int
}

func (f *fuzzing) work(w *worker) {
	defer f.beats.set(w.index, idle)
	for !f.stop.Load() {
		number := f.next.Add(1) - 1
		if number >= f.end {
			return
		}
		f.beats.set(w.index, number+1)
		call := randomCall(f.seed, number)
		record, fault := w.play(call)
		if fault != nil {
			f.stop.Store(true)
			f.beats.set(w.index, idle)
			f.found.Do(func() {
				f.report(call, number, fault)
				os.Exit(1)
			})
			return
		}
		switch record["dir"] {
		case "publish":
			f.publishes.Add(1)
		case "deliver":
			f.deliveries.Add(1)
		}
	}
}

// report says how to see it again, with a call that is as simple as can be found.
func (f *fuzzing) report(call *randomised, number uint64, fault error) {
	fmt.Printf("seed %d, call %d: %v\n", f.seed, number, fault)
	if again := f.alone(call); again == nil {
		fmt.Printf("Not alone, only after other calls: cargo xtask fuzz --seed %d --calls %d\n", f.seed, number+1)
	} else {
		fmt.Printf("Again: cargo xtask fuzz --seed %d --call %d\nThe least that fails:\n", f.seed, number)
		if least := f.shrunk(call); f.alone(least) != nil {
			call = least
		}
		fmt.Printf("%v\n", f.alone(call))
	}
	fmt.Print(call)
}

// alone plays a call on a guest that has seen no other.
func (f *fuzzing) alone(call *randomised) error {
	player, err := newPlayer(f.guest)
	if err != nil {
		return err
	}
	_, fault := player.play(call)
	return fault
}

// shrunk is the simplest call that can be found in a while and that still fails.
func (f *fuzzing) shrunk(call *randomised) *randomised {
	begun := time.Now()
	player, err := newPlayer(f.guest)
	for found := true; found; {
		found = false
		for simpler := range call.simpler() {
			if err != nil || time.Since(begun) > patience {
				return call
			}
			if _, fault := player.play(simpler); fault != nil {
				call, found = simpler, true
				// Who knows what the fault has left behind.
				player, err = newPlayer(f.guest)
				break
			}
		}
	}
	return call
}

// show says every ten seconds how far it is.
func (f *fuzzing) show() {
	for {
		time.Sleep(10 * time.Second)
		if done := min(f.next.Load(), f.end) - f.first; done < f.end-f.first && !f.stop.Load() {
			fmt.Fprintf(os.Stderr, "… %s\n", f.summary(done))
		}
	}
}

func (f *fuzzing) summary(calls uint64) string {
	return fmt.Sprintf("%d calls, %d publishes and %d deliveries among them, %.0f calls/s, seed %d: no fault",
		calls, f.publishes.Load(), f.deliveries.Load(), float64(calls)/time.Since(f.begun).Seconds(), f.seed)
}
