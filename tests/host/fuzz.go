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

// No call takes a thousandth of that, however busy the machine.
const hangs = 60 * time.Second

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
	workersDone sync.WaitGroup
}

// fuzz ends the process with 1 if a call came to harm.
func fuzz(guest string, numbers [3]string) error {
	var parsed [3]uint64
	for i, text := range numbers {
		var err error
		if parsed[i], err = strconv.ParseUint(text, 10, 64); err != nil {
			return err
		}
	}
	seed, first, calls := parsed[0], parsed[1], parsed[2]
	if first > math.MaxUint64-calls {
		return fmt.Errorf("no call has the number %d + %d", first, calls)
	}
	f := fuzzing{guest: guest, seed: seed, first: first, end: first + calls, begun: time.Now()}
	f.next.Store(first)
	// More than there are cores, so that they get in each other's way.
	workers := make([]*worker, 2*runtime.GOMAXPROCS(0))
	for i := range workers {
		player, err := newPlayer(guest)
		if err != nil {
			return err
		}
		workers[i] = &worker{player: player}
	}
	for _, worker := range workers {
		f.workersDone.Go(func() { f.work(worker) })
	}
	go f.watch(workers)
	f.workersDone.Wait()
	if f.stop.Load() {
		select {} // Whoever has found something ends the process.
	}
	fmt.Printf("%s\n", f.summary(calls))
	return nil
}

// worker has a middleware of its own, since a line that a guest logs does not say of which call it is. Calls inside of
// calls make several instances of the guest work in it at once.
type worker struct {
	*player
	call  atomic.Uint64
	since atomic.Int64 // nanoseconds after the begin; 0 between calls
}

func (f *fuzzing) work(w *worker) {
	for !f.stop.Load() {
		number := f.next.Add(1) - 1
		if number >= f.end {
			return
		}
		w.call.Store(number)
		w.since.Store(int64(time.Since(f.begun)))
		call := randomCall(f.seed, number)
		fault := w.play(call)
		w.since.Store(0)
		if fault != nil {
			f.stop.Store(true)
			f.found.Do(func() {
				f.report(call, number, fault)
				os.Exit(1)
			})
			return
		}
		switch dir := call.record(); {
		case dir == nil:
		case dir["dir"] == "publish":
			f.publishes.Add(1)
		default:
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
	return player.play(call)
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
			if player.play(simpler) != nil {
				call, found = simpler, true
				// Who knows what the fault has left behind.
				player, err = newPlayer(f.guest)
				break
			}
		}
	}
	return call
}

// watch finds calls that never end, and shows that the rest do.
func (f *fuzzing) watch(workers []*worker) {
	for {
		time.Sleep(10 * time.Second)
		for _, worker := range workers {
			since := worker.since.Load()
			if since == 0 || time.Since(f.begun)-time.Duration(since) < hangs {
				continue
			}
			f.found.Do(func() {
				number := worker.call.Load()
				fmt.Printf("seed %d, call %d: does not end\nAgain: cargo xtask fuzz --seed %[1]d --call %[2]d\n", f.seed, number)
				fmt.Print(randomCall(f.seed, number))
				os.Exit(1)
			})
		}
		if done := min(f.next.Load(), f.end) - f.first; done < f.end-f.first && !f.stop.Load() {
			fmt.Fprintf(os.Stderr, "… %s\n", f.summary(done))
		}
	}
}

func (f *fuzzing) summary(calls uint64) string {
	return fmt.Sprintf("%d calls, %d publishes and %d deliveries among them, %.0f calls/s, seed %d: no fault",
		calls, f.publishes.Load(), f.deliveries.Load(), float64(calls)/time.Since(f.begun).Seconds(), f.seed)
}
