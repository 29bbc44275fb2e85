// Runs guests in Dapr's own WebAssembly middleware, as daprd builds it, and says what a call costs with each of them.
//
//	host pages GUEST               the pages of memory that a guest begins with
//	host time CALL LOGGER GUEST…   nanoseconds per call, of each guest in each round, as JSON
//
// CALL is one of those in calls.go. LOGGER is where a guest's lines go: to `nobody`, which leaves the cost of the host
// and the guest alone, or to `dapr`, its own logger, whose lines nobody reads.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"syscall"
	"time"

	"github.com/dapr/components-contrib/metadata"
	"github.com/dapr/components-contrib/middleware"
	"github.com/dapr/components-contrib/middleware/http/wasm"
	"github.com/dapr/kit/logger"
	"github.com/tetratelabs/wazero"
)

const (
	rounds   = 100
	requests = 2000 // in a round
)

// sample is what one guest cost.
type sample struct {
	Nanos []float64 `json:"ns"`    // per call, in each round
	Lines int       `json:"lines"` // that it logs for one call
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	switch {
	case len(arguments) == 2 && arguments[0] == "pages":
		pages, err := pages(arguments[1])
		if err == nil {
			fmt.Println(pages)
		}
		return err
	case len(arguments) >= 4 && arguments[0] == "time":
		samples, err := measure(arguments[1], arguments[2], arguments[3:])
		if err == nil {
			err = json.NewEncoder(os.Stdout).Encode(samples)
		}
		return err
	default:
		return fmt.Errorf("usage: host pages GUEST | host time CALL nobody|dapr GUEST…")
	}
}

func pages(path string) (uint32, error) {
	guest, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	ctx := context.Background()
	module, err := wazero.NewRuntime(ctx).CompileModule(ctx, guest)
	if err != nil {
		return 0, err
	}
	memory, found := module.ExportedMemories()["memory"]
	if !found {
		return 0, fmt.Errorf("%s exports no memory", path)
	}
	return memory.Min(), nil
}

func measure(name, sink string, paths []string) ([]sample, error) {
	// One thread: what is measured is work, and the collector's share of it.
	runtime.GOMAXPROCS(1)
	call, found := calls[name]
	if !found {
		return nil, fmt.Errorf("no such call: %s", name)
	}
	samples := make([]sample, len(paths))
	handlers := make([]http.Handler, len(paths))
	for i, path := range paths {
		log := newLogger(sink)
		handler, err := load(path, log, &call)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		handlers[i] = handler
		if err := check(handler, &call); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		samples[i].Lines = log.lines
		round(handler, &call) // to warm up
	}
	// One after the other, so that whatever slows this machine down slows all of them.
	for range rounds {
		for i, handler := range handlers {
			samples[i].Nanos = append(samples[i].Nanos, round(handler, &call))
		}
	}
	return samples, nil
}

// load does what daprd does with a component of type middleware.http.wasm.
func load(path string, log logger.Logger, next http.Handler) (http.Handler, error) {
	component := middleware.Metadata{Base: metadata.Base{Properties: map[string]string{"url": "file://" + path}}}
	handler, err := wasm.NewMiddleware(log).GetHandler(context.Background(), component)
	if err != nil {
		return nil, err
	}
	return handler(next), nil
}

// check sends one call: a guest in whose way it is changed is measured for nothing.
func check(handler http.Handler, call *call) error {
	got := answer{header: http.Header{}}
	handler.ServeHTTP(&got, call.request())
	if got.status != call.status || got.length != len(call.body) {
		return fmt.Errorf("answered %d with %d bytes", got.status, got.length)
	}
	return nil
}

// round returns nanoseconds per call, those that make the call included, as in Dapr's own benchmark of its middleware.
func round(handler http.Handler, call *call) float64 {
	started := cpu()
	for range requests {
		handler.ServeHTTP(&answer{header: http.Header{}}, call.request())
	}
	return float64((cpu() - started).Nanoseconds()) / requests
}

// cpu is the time that this process has worked: the wall clock counts what others do on the machine, too.
func cpu() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// counting counts the lines, and passes them on or not.
type counting struct {
	logger.Logger
	pass  bool
	lines int
}

func (c *counting) Info(arguments ...any) {
	c.lines++
	if c.pass {
		c.Logger.Info(arguments...)
	}
}

// newLogger has the fields that daprd's has.
func newLogger(sink string) *counting {
	log := logger.NewLogger("dapr.runtime")
	log.SetAppID("course-agent")
	log.SetOutput(io.Discard)
	log = log.WithFields(map[string]any{"component": "learnflow (middleware.http.wasm/v1)"})
	return &counting{Logger: log, pass: sink == "dapr"}
}
