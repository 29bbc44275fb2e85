package main

import (
	"context"
	"fmt"
	"net/http"
	"os"

	"github.com/dapr/components-contrib/metadata"
	"github.com/dapr/components-contrib/middleware"
	"github.com/dapr/components-contrib/middleware/http/wasm"
	"github.com/dapr/kit/logger"
	"github.com/tetratelabs/wazero"
)

// guest is the middleware with a guest in it, between a client that makes a call and the handler that answers it.
type guest struct {
	call    *call
	handler http.Handler
	log     *log
}

// load puts a guest of which the call's costs are to be known before the call's handler.
func load(path string, call *call, pass bool) (*guest, error) {
	log, err := newLog(pass)
	if err != nil {
		return nil, err
	}
	wrap, err := middlewareOf(path, log)
	if err != nil {
		return nil, err
	}
	return &guest{call, wrap(call), log}, nil
}

// middlewareOf does what daprd does with a component of type middleware.http.wasm: see
// cmd/daprd/components/middleware_http_webassembly.go and pkg/components/middleware/http/registry.go there.
func middlewareOf(path string, log logger.Logger) (func(http.Handler) http.Handler, error) {
	return configured(path, log, map[string]string{})
}

// configured is the same with more in the component's metadata.
func configured(path string, log logger.Logger, properties map[string]string) (func(http.Handler) http.Handler, error) {
	properties["url"] = "file://" + path
	component := middleware.Metadata{Base: metadata.Base{Properties: properties}}
	return wasm.NewMiddleware(log).GetHandler(context.Background(), component)
}

func (g *guest) send() answer {
	got := answer{header: http.Header{}}
	g.handler.ServeHTTP(&got, g.call.request())
	return got
}

// check is for guests that are quick because they do something else.
func (g *guest) check(lines int) error {
	got := g.send()
	if got.status != g.call.status || got.length != len(g.call.body) {
		return fmt.Errorf("the answer is %d with %d bytes", got.status, got.length)
	}
	if g.log.lines != lines {
		return fmt.Errorf("%d lines logged instead of %d", g.log.lines, lines)
	}
	return nil
}

// log counts what a guest logs, and may pass it on to Dapr's logger.
type log struct {
	logger.Logger
	pass  bool
	lines int
}

// newLog has the fields that a line of daprd has.
func newLog(pass bool) (*log, error) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	dapr := logger.NewLogger("dapr.runtime")
	dapr.SetAppID("course-agent")
	dapr.SetOutput(null)
	dapr = dapr.WithFields(map[string]any{"component": "learnflow (middleware.http.wasm/v1)"})
	return &log{Logger: dapr, pass: pass}, nil
}

// Info takes a line: guests of ours log at no other level.
func (l *log) Info(arguments ...any) {
	l.lines++
	if l.pass {
		l.Logger.Info(arguments...)
	}
}

// pages is what the host reserves for each instance.
func pages(path string) (uint32, error) {
	bytes, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	ctx := context.Background()
	module, err := wazero.NewRuntime(ctx).CompileModule(ctx, bytes)
	if err != nil {
		return 0, err
	}
	memory, found := module.ExportedMemories()["memory"]
	if !found {
		return 0, fmt.Errorf("%s exports no memory", path)
	}
	return memory.Min(), nil
}
