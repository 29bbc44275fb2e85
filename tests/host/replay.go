package main

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/dapr/kit/logger"
)

// replayed is a call that another host is given, too. Texts that a caller chooses are bytes: they need not be UTF-8.
type replayed struct {
	Config string              `json:"config"`
	Strict bool                `json:"strict"`
	Method []byte              `json:"method"`
	URI    []byte              `json:"uri"`
	From   string              `json:"from"`
	Header map[string][][]byte `json:"header"`
	Answer handled             `json:"answer"`
}

// handled is what the handler behind the middleware answers, or what the client gets.
type handled struct {
	Status int                 `json:"status"` // 0: it did not say
	Header map[string][][]byte `json:"header"`
	Body   []byte              `json:"body"`
	Panics bool                `json:"panics"`
}

// replayedOutcome is what became of a call in this host.
type replayedOutcome struct {
	URI    []byte              `json:"uri"` // as the host tells it to guests
	Header map[string][][]byte `json:"header"`
	Answer handled             `json:"answer"`
	Lines  []string            `json:"lines"`
}

// replay reads calls, one JSON object after the other, and writes what becomes of each.
func replay(guest string, calls io.Reader) error {
	type key struct {
		config string
		strict bool
	}
	players := map[key]*player{}
	in, out := json.NewDecoder(calls), json.NewEncoder(os.Stdout)
	for {
		var call replayed
		if err := in.Decode(&call); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		key := key{call.Config, call.Strict}
		if players[key] == nil {
			lines := &lines{Logger: logger.NewLogger("replay")}
			properties := map[string]string{"guestConfig": call.Config}
			if call.Strict {
				properties["strictSandbox"] = "true"
			}
			wrap, err := configured(guest, lines, properties)
			if err != nil {
				return err
			}
			players[key] = &player{wrap, lines}
		}
		if err := out.Encode(players[key].replay(&call)); err != nil {
			return err
		}
	}
}

func (p *player) replay(call *replayed) *replayedOutcome {
	sent := randomised{method: string(call.Method), uri: string(call.URI), from: call.From, header: header(call.Header), length: -1}
	mark := len(p.lines.kept)
	var outcome replayedOutcome
	handler := func(w http.ResponseWriter, r *http.Request) {
		outcome.Header = bytesOf(r.Header)
		call.Answer.give(w)
	}
	request := sent.request()
	outcome.URI = []byte(request.URL.EscapedPath())
	if len(outcome.URI) == 0 {
		outcome.URI = []byte("/")
	}
	if request.URL.ForceQuery || request.URL.RawQuery != "" {
		outcome.URI = append(append(outcome.URI, '?'), request.URL.RawQuery...)
	}
	client := &received{header: http.Header{}}
	p.wrap(http.HandlerFunc(handler)).ServeHTTP(client, request)
	outcome.Answer = client.handled()
	for _, line := range p.lines.since(mark) {
		// Of the configuration: how many instances say it depends on when Go collects garbage.
		if !strings.HasPrefix(line, "warning: ") {
			outcome.Lines = append(outcome.Lines, line)
		}
	}
	return &outcome
}

func (h *handled) give(w http.ResponseWriter) {
	for name, values := range header(h.Header) {
		w.Header()[name] = values
	}
	if h.Status != 0 {
		w.WriteHeader(h.Status)
	}
	if len(h.Body) > 0 {
		_, _ = w.Write(h.Body)
	}
	if h.Panics {
		panic("the handler panics")
	}
}

// handled is what came back, whole.
func (r *received) handled() handled {
	answer := handled{Header: bytesOf(r.header), Body: r.body}
	if len(r.statuses) > 0 {
		answer.Status = r.statuses[len(r.statuses)-1]
	}
	return answer
}

// randomCalls writes those that the fuzzer would play, without calls inside of calls.
func randomCalls(seed, first, calls uint64) error {
	out := json.NewEncoder(os.Stdout)
	for number := first; number < first+calls; number++ {
		call := randomCall(seed, number)
		answer := &received{header: http.Header{}}
		func() {
			defer func() { _ = recover() }()
			call.answer(answer, func(*randomised) {})
		}()
		told := replayed{
			Method: []byte(call.method),
			URI:    []byte(call.uri),
			From:   call.from,
			Header: bytesOf(call.header),
			Answer: answer.handled(),
		}
		told.Answer.Panics = call.panicked()
		if err := out.Encode(told); err != nil {
			return err
		}
	}
	return nil
}

func header(bytes map[string][][]byte) http.Header {
	header := http.Header{}
	for name, values := range bytes {
		for _, value := range values {
			header.Add(name, string(value))
		}
	}
	return header
}

// bytesOf leaves out names without a value, which nothing but a map can have.
func bytesOf(header http.Header) map[string][][]byte {
	bytes := map[string][][]byte{}
	for name, values := range header {
		for _, value := range values {
			bytes[name] = append(bytes[name], []byte(value))
		}
	}
	return bytes
}
