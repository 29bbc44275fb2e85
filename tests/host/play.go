package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/dapr/kit/logger"
)

// player sends calls through the middleware and checks what comes of them.
type player struct {
	wrap  func(http.Handler) http.Handler
	lines *lines
}

func newPlayer(guest string) (*player, error) {
	lines := &lines{Logger: logger.NewLogger("fuzz")}
	wrap, err := middlewareOf(guest, lines)
	return &player{wrap, lines}, err
}

// lines keeps what a guest logs.
type lines struct {
	logger.Logger
	kept []string
}

func (l *lines) Info(arguments ...any) { l.kept = append(l.kept, fmt.Sprint(arguments...)) }

// At other levels, a guest has nothing to say; and the last is what the host says of its standard output.
func (l *lines) Debug(arguments ...any) { l.Info("debug: ", fmt.Sprint(arguments...)) }
func (l *lines) Warn(arguments ...any)  { l.Info("warning: ", fmt.Sprint(arguments...)) }
func (l *lines) Error(arguments ...any) { l.Info("error: ", fmt.Sprint(arguments...)) }
func (l *lines) Debugf(format string, arguments ...any) {
	l.Info("debug: ", fmt.Sprintf(format, arguments...))
}

// since takes back what was logged after the first so many lines.
func (l *lines) since(mark int) []string {
	taken := slices.Clone(l.kept[mark:])
	l.kept = l.kept[:mark]
	return taken
}

// play returns the record that the call should have, and what is wrong, if anything is.
func (p *player) play(call *randomised) (want map[string]string, fault error) {
	want = call.record()
	mark := len(p.lines.kept)
	defer func() {
		if trap := recover(); trap != nil {
			p.lines.since(mark)
			fault = fmt.Errorf("the guest traps, or asks what the host refuses: %v", trap)
		}
	}()
	sent := call.request()
	client := &received{header: http.Header{}}
	met := meeting{before: time.Now()}
	handler := func(w http.ResponseWriter, r *http.Request) {
		met.times++
		// The host takes any panic for the handler's own.
		defer func() {
			if mistake := recover(); mistake != nil {
				if !call.panicked() {
					met.fault = errors.Join(met.fault, fmt.Errorf("what looks for faults has one: %v", mistake))
				}
				panic(mistake)
			}
		}()
		met.fault = errors.Join(met.fault, call.arrived(r, want))
		if direct := w == http.ResponseWriter(client); direct != (want == nil) {
			met.fault = errors.Join(met.fault, fmt.Errorf("held back: %t, of a call with the record %v", !direct, want))
		}
		begun := time.Now()
		defer func() { met.took = time.Since(begun) }()
		call.answer(w, func(inner *randomised) {
			if _, fault := p.play(inner); fault != nil {
				met.fault = errors.Join(met.fault, fmt.Errorf("the call inside: %w", fault))
			}
		})
	}
	p.wrap(http.HandlerFunc(handler)).ServeHTTP(client, sent)
	met.after = time.Now()

	if met.times != 1 {
		return want, fmt.Errorf("the next handler was called %d times; the answer is %d %.200q", met.times, client.statuses, client.body)
	}
	return want, errors.Join(met.fault, client.check(call, want != nil), checkLines(p.lines.since(mark), want, call, &met))
}

// meeting is what the next handler saw.
type meeting struct {
	times         int
	fault         error
	before, after time.Time
	took          time.Duration
}

// arrived compares what the next handler gets to what was sent.
func (c *randomised) arrived(r *http.Request, want map[string]string) error {
	var faults []error
	expect := func(what string, got, want any) {
		if got != want {
			faults = append(faults, fmt.Errorf("the request's %s is %.300q instead of %.300q", what, got, want))
		}
	}
	sent := c.request()
	expect("method", r.Method, sent.Method)
	expect("URI", r.URL.String(), sent.URL.String())
	expect("RequestURI", r.RequestURI, sent.RequestURI)
	expect("host", r.Host, sent.Host)
	expect("length", r.ContentLength, sent.ContentLength)
	expect("trailers", len(r.Trailer), 0)
	c.addAttributes(sent.Header, want)
	for name := range merged(r.Header, sent.Header) {
		if !slices.Equal(r.Header[name], sent.Header[name]) {
			expect("header "+name, fmt.Sprint(r.Header[name]), fmt.Sprint(sent.Header[name]))
		}
	}
	// As much as the handler wants to know of it, as a handler may.
	body, err := io.ReadAll(io.LimitReader(r.Body, int64(c.reads)))
	expect("error", err, nil)
	if whole := c.body[:min(c.reads, len(c.body))]; !bytes.Equal(body, whole) {
		expect("body", string(body), string(whole))
	}
	return errors.Join(faults...)
}

// answer is the handler.
func (c *randomised) answer(w http.ResponseWriter, play func(*randomised)) {
	if c.inner != nil {
		play(c.inner)
	}
	c.panics.at(beforeAll)
	maps.Copy(w.Header(), c.answerHeader.Clone())
	c.panics.at(beforeStatus)
	if c.status != 0 {
		w.WriteHeader(c.status)
	}
	for i, piece := range c.pieces {
		if i > 0 {
			c.panics.at(betweenPieces)
		}
		_, _ = w.Write(piece)
	}
	c.panics.at(afterAll)
}

// received is the client's side, or what the server would send: what came back.
type received struct {
	header   http.Header
	began    http.Header // as the header was when the answer began
	statuses []int
	body     []byte
	writes   int
}

func (r *received) Header() http.Header { return r.header }

func (r *received) WriteHeader(status int) {
	r.statuses = append(r.statuses, status)
	r.began = r.header.Clone()
}

func (r *received) Write(piece []byte) (int, error) {
	if r.began == nil && len(piece) > 0 {
		r.began = r.header.Clone()
	}
	r.writes++
	r.body = append(r.body, piece...)
	return len(piece), nil
}

// check plays the handler again, without the middleware.
func (r *received) check(call *randomised, held bool) error {
	want := received{header: http.Header{}}
	func() {
		// What a handler's panic does without a middleware, the host takes away: it is the host's to answer for.
		defer func() { _ = recover() }()
		call.answer(&want, func(*randomised) {})
	}()
	if held && call.panicked() {
		// Of a call that is watched, the guest says that it broke.
		want.statuses, want.began = []int{http.StatusInternalServerError}, want.header
	}
	var faults []error
	for what, headers := range map[string][2]http.Header{"headers": {r.header, want.header}, "first headers": {r.began, want.began}} {
		if !maps.EqualFunc(headers[0], headers[1], slices.Equal) {
			faults = append(faults, fmt.Errorf("the answer's %s are %.300q instead of %.300q", what, headers[0], headers[1]))
		}
	}
	if !slices.Equal(r.statuses, want.statuses) {
		faults = append(faults, fmt.Errorf("the answer's status is %v instead of %v", r.statuses, want.statuses))
	}
	if !bytes.Equal(r.body, want.body) {
		faults = append(faults, fmt.Errorf("the answer's body is %.300q instead of %.300q", r.body, want.body))
	}
	if !held && r.writes != want.writes {
		faults = append(faults, fmt.Errorf("the answer comes in %d pieces instead of %d", r.writes, want.writes))
	}
	return errors.Join(faults...)
}

func merged(one, other http.Header) map[string]bool {
	names := map[string]bool{}
	for _, header := range []http.Header{one, other} {
		for name := range header {
			names[name] = true
		}
	}
	return names
}
