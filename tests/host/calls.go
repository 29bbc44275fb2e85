package main

import (
	"context"
	"net"
	"net/http"
	"net/url"
)

// A call as it reaches the middleware, and what the handler behind the middleware answers.
type call struct {
	method, uri string
	from        string // nowhere, if Dapr itself makes it
	header      http.Header
	length      int64
	status      int
	answer      http.Header
	body        []byte
	lines       int // that LearnFlow's guest logs of it
}

const traceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

var calls = map[string]call{
	// What an app's client sends, and Dapr's answer.
	"publish": {
		method: http.MethodPost,
		uri:    "/v1.0/publish/kafka-pubsub/lesson.generated",
		from:   "127.0.0.1:40000",
		header: http.Header{
			"Accept-Encoding": {"gzip"},
			"Content-Length":  {"400"},
			"Content-Type":    {"application/json"},
			"Traceparent":     {traceParent},
			"User-Agent":      {"Go-http-client/1.1"},
		},
		length: 400,
		status: http.StatusNoContent,
		lines:  1,
	},
	// One that is not pub/sub.
	"other": {
		method: http.MethodGet,
		uri:    "/v1.0/state/statestore/lesson-42",
		from:   "127.0.0.1:40000",
		header: http.Header{
			"Accept-Encoding": {"gzip"},
			"Traceparent":     {traceParent},
			"User-Agent":      {"Go-http-client/1.1"},
		},
		status: http.StatusOK,
		answer: http.Header{"Content-Type": {"application/json"}},
		body:   []byte(`{"id":42,"state":"generated"}`),
	},
	// What Dapr sends to an app for an event from Kafka, and the app's answer.
	"delivery": {
		method: http.MethodPost,
		uri:    "/lessons",
		header: http.Header{
			"Content-Type": {"application/cloudevents+json"},
			"Pubsubname":   {"kafka-pubsub"},
			"Traceparent":  {traceParent},
			"__key":        {"42"},
			"__offset":     {"90000"},
			"__partition":  {"3"},
			"__timestamp":  {"1700000000000"},
			"__topic":      {"lesson.generated"},
		},
		length: 700,
		status: http.StatusOK,
		answer: http.Header{
			"Content-Type": {"application/json"},
			"Date":         {"Mon, 05 Jan 2026 10:00:00 GMT"},
		},
		body:  []byte(`{"status":"SUCCESS"}`),
		lines: 1,
	},
}

// background is what a request to a net/http server carries.
var background = context.WithValue(
	context.WithValue(context.Background(), http.ServerContextKey, &http.Server{}),
	http.LocalAddrContextKey, &net.TCPAddr{},
)

// request makes the call anew each time: a guest adds headers to it.
func (c *call) request() *http.Request {
	url, err := url.ParseRequestURI(c.uri)
	if err != nil {
		panic(err)
	}
	request := http.Request{
		Method:        c.method,
		URL:           url,
		RequestURI:    c.uri,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        c.header.Clone(),
		Body:          http.NoBody,
		ContentLength: c.length,
		Host:          "127.0.0.1:3500",
		RemoteAddr:    c.from,
	}
	return request.WithContext(background)
}

// ServeHTTP answers it.
func (c *call) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	header := w.Header()
	for name, values := range c.answer {
		header[name] = values
	}
	w.WriteHeader(c.status)
	if len(c.body) > 0 {
		_, _ = w.Write(c.body)
	}
}

// answer is the client's side: what came back.
type answer struct {
	header http.Header
	status int
	length int
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) { a.status = status }

func (a *answer) Write(body []byte) (int, error) {
	a.length += len(body)
	return len(body), nil
}
