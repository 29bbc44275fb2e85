package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"
)

// No call takes a thousandth of that, however busy the machine.
const hangs = 60 * time.Second

// beats is a file in which each worker writes the call that it is at. Who watches them has to be another process: Go
// cannot interrupt a guest, so one that hangs can stop everything around it.
type beats struct{ *os.File }

// At the end of a worker's numbers.
const idle = 0

func (b beats) set(worker int, number uint64) {
	var bytes [8]byte
	binary.LittleEndian.PutUint64(bytes[:], number)
	if _, err := b.WriteAt(bytes[:], int64(8*worker)); err != nil {
		panic(err)
	}
}

func (b beats) all() []uint64 {
	bytes := make([]byte, 8*1024)
	length, _ := b.ReadAt(bytes, 0)
	numbers := make([]uint64, length/8)
	for i := range numbers {
		numbers[i] = binary.LittleEndian.Uint64(bytes[8*i:])
	}
	return numbers
}

// watched runs the fuzzer in a process of its own, and ends with 1 if a call does not end.
func watched(guest string, numbers [3]string) error {
	file, err := os.CreateTemp("", "fuzz")
	if err != nil {
		return err
	}
	_ = os.Remove(file.Name())
	self, err := os.Executable()
	if err != nil {
		return err
	}
	child := exec.Command(self, "fuzzing", guest, numbers[0], numbers[1], numbers[2])
	child.Stdout, child.Stderr, child.ExtraFiles = os.Stdout, os.Stderr, []*os.File{file}
	if err := child.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }()
	type beat struct {
		number uint64
		since  time.Time
	}
	var last [1024]beat
	for {
		select {
		case err := <-ended:
			var failed *exec.ExitError
			if errors.As(err, &failed) {
				os.Exit(failed.ExitCode())
			}
			return err
		case <-time.After(time.Second):
		}
		for worker, number := range (beats{file}).all() {
			if number != last[worker].number {
				last[worker] = beat{number, time.Now()}
			}
			if number == idle || time.Since(last[worker].since) < hangs {
				continue
			}
			_ = child.Process.Kill()
			seed, _ := strconv.ParseUint(numbers[0], 10, 64)
			fmt.Printf("seed %d, call %d: does not end\nAgain: cargo xtask fuzz --seed %[1]d --call %[2]d\n%[3]v", seed, number-1, randomCall(seed, number-1))
			os.Exit(1)
		}
	}
}
