package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// randomised is a call, and what the handler behind the middleware does with it.
type randomised struct {
	method, uri string
	header      http.Header
	length      int64 // -1: not known
	body        []byte

	reads        int // as much of the body
	inner        *randomised
	answerHeader http.Header
	status       int // 0: left to the first write
	pieces       [][]byte
	panics       panics
}

// panics of the handler.
type panics struct {
	when moment
	kind int
}

type moment int

const (
	never moment = iota
	beforeAll
	beforeStatus
	betweenPieces
	afterAll
)

func (p panics) at(now moment) {
	if p.when != now {
		return
	}
	switch p.kind {
	case 0:
		panic(http.ErrAbortHandler)
	case 1:
		panic("the handler panics")
	default:
		panic(errors.New("the handler panics"))
	}
}

func (c *randomised) panicked() bool {
	return c.panics.when != never && (c.panics.when != betweenPieces || len(c.pieces) > 1)
}

func (c *randomised) target() *url.URL {
	target, err := url.ParseRequestURI(c.uri)
	if err != nil {
		// None that a server would let in. The host hands it over all the same.
		target = &url.URL{Path: c.uri}
	}
	return target
}

// request is made anew each time: what was sent is compared to what arrives.
func (c *randomised) request() *http.Request {
	request := http.Request{
		Method:        c.method,
		URL:           c.target(),
		RequestURI:    c.uri,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        c.header.Clone(),
		Body:          io.NopCloser(bytes.NewReader(c.body)),
		ContentLength: c.length,
		Host:          "127.0.0.1:3500",
		RemoteAddr:    "127.0.0.1:40000",
	}
	return request.WithContext(background)
}

// simpler calls, those that lack most first.
func (c *randomised) simpler() iter.Seq[*randomised] {
	return func(yield func(*randomised) bool) {
		more := true
		try := func(change func(*randomised)) {
			if more {
				simpler := *c
				change(&simpler)
				more = yield(&simpler)
			}
		}
		if c.inner != nil {
			try(func(s *randomised) { s.inner = nil })
			more = more && yield(c.inner)
		}
		if c.panics.when != never {
			try(func(s *randomised) { s.panics = panics{} })
		}
		if c.body != nil {
			try(func(s *randomised) { s.body, s.reads = nil, 1 })
		}
		if c.status != 0 && c.status != 200 {
			try(func(s *randomised) { s.status = 200 })
		}
		if len(c.pieces) > 1 {
			try(func(s *randomised) { s.pieces = [][]byte{s.wholeAnswer()} })
		}
		for header := range fewer(c.header) {
			try(func(s *randomised) { s.header = header })
		}
		for header := range fewer(c.answerHeader) {
			try(func(s *randomised) { s.answerHeader = header })
		}
		for piece := range parts(string(c.wholeAnswer())) {
			try(func(s *randomised) { s.pieces = [][]byte{[]byte(piece)} })
		}
		for uri := range parts(c.uri) {
			try(func(s *randomised) { s.uri = uri })
		}
	}
}

// fewer headers, values or bytes of them.
func fewer(header http.Header) iter.Seq[http.Header] {
	return func(yield func(http.Header) bool) {
		with := func(name string, values []string) bool {
			less := maps.Clone(header)
			delete(less, name)
			if values != nil {
				less[name] = values
			}
			return yield(less)
		}
		for _, name := range slices.Sorted(maps.Keys(header)) {
			if !with(name, nil) {
				return
			}
			values := header[name]
			if len(values) > 1 && !(with(name, values[:len(values)/2]) && with(name, values[len(values)/2:])) {
				return
			}
			if len(values) == 1 {
				for part := range parts(values[0]) {
					if !with(name, []string{part}) {
						return
					}
				}
			}
		}
	}
}

// parts of a text: without a half, a quarter, and so on down to a byte, at any place.
func parts(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for length := (len(text) + 1) / 2; length > max(0, len(text)/64); length /= 2 {
			for at := 0; at < len(text); at += length {
				if !yield(text[:at] + text[min(at+length, len(text)):]) {
					return
				}
			}
		}
	}
}

// String shows the call, long texts cut.
func (c *randomised) String() string {
	var shown strings.Builder
	fmt.Fprintf(&shown, "  %s %s, length %d, body %s, of which are read %d bytes\n", quoted(c.method), quoted(c.uri), c.length, quoted(string(c.body)), c.reads)
	show := func(what string, header http.Header) {
		for _, name := range slices.Sorted(maps.Keys(header)) {
			var values []string
			for _, value := range header[name][:min(10, len(header[name]))] {
				values = append(values, quoted(value))
			}
			fmt.Fprintf(&shown, "  %s %s, %d values: %s\n", what, quoted(name), len(header[name]), strings.Join(values, ", "))
		}
	}
	show("header", c.header)
	fmt.Fprintf(&shown, "  answer %d in %d pieces: %s\n", c.status, len(c.pieces), quoted(string(c.wholeAnswer())))
	show("answer's header", c.answerHeader)
	if c.panicked() {
		fmt.Fprintf(&shown, "  the handler panics (%d, %d)\n", c.panics.when, c.panics.kind)
	}
	if c.inner != nil {
		fmt.Fprintf(&shown, "  inside of it:\n%v", c.inner)
	}
	return shown.String()
}

func quoted(text string) string {
	if len(text) > 400 {
		return fmt.Sprintf("%q … %q (%d bytes)", text[:200], text[len(text)-100:], len(text))
	}
	return fmt.Sprintf("%q", text)
}
