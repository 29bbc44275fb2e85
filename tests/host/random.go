package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
)

// random makes calls that look like those that a guest must know, and everything around them.
type random struct{ *rand.Rand }

// randomCall depends on the two numbers alone, so that each call can be had again.
func randomCall(seed, number uint64) *randomised {
	return random{rand.New(rand.NewPCG(seed, number))}.call(true)
}

func pick[T any](r random, from ...T) T { return from[r.IntN(len(from))] }

// once in so many times
func (r random) once(in int) bool { return r.IntN(in) == 0 }

func (r random) call(outermost bool) *randomised {
	c := &randomised{method: http.MethodPost, header: http.Header{}, length: -1}
	delivery := r.once(2)
	bulk := delivery && r.once(4)
	if delivery {
		c.uri = pick(r, "/lessons", "/", "/v1.0/lessons", "/a/b?c=d", "*", "/v1.0-x", "/"+r.escaped(r.text()))
	} else {
		c.uri = r.uri()
	}
	if r.once(8) {
		c.method = pick(r, "PUT", "GET", "DELETE", "post", "", "OPTIONS", r.text())
	}
	if delivery != r.once(20) {
		r.deliveryHeaders(c.header)
	}
	if bulk {
		// All that Dapr sends of several events.
		delete(c.header, "__topic")
		r.add(c.header, "Content-Type", pick(r, "application/json", "application/json", "application/json", "application/json", "application/cloudevents+json", "application/json; charset=utf-8"))
	}
	r.otherHeaders(c.header)
	r.body(c)
	r.answer(c, bulk, outermost)
	return c
}

func (r random) deliveryHeaders(header http.Header) {
	// In this order: that of a map would be another each time.
	for _, each := range [][2]string{
		{"Pubsubname", r.name()},
		{"__topic", r.name()},
		{"__partition", r.number(12)},
		{"__offset", r.number(90000)},
		{"__timestamp", r.number(1_700_000_000_000)},
		{"__key", r.name()},
	} {
		if !r.once(15) {
			r.add(header, each[0], each[1])
		}
	}
}

func (r random) otherHeaders(header http.Header) {
	if r.once(2) {
		r.add(header, "Traceparent", r.traceParent())
	}
	if !r.once(3) {
		r.add(header, "Content-Length", r.number(400))
	}
	if r.once(8) {
		r.add(header, pick(r, "Dapr-Messaging.destination.name", "Dapr-Messaging.system", "Dapr-Messaging.operation.type"), r.text())
	}
	for range r.IntN(4) {
		name := pick(r, "Content-Type", "Accept-Encoding", "Dapr-App-Id", "Dapr-Api-Token", "Host", "X-"+r.word(), "Tracestate")
		r.add(header, name, r.text())
	}
	if r.once(300) {
		for i := range 2000 {
			header.Add(fmt.Sprintf("X-%d", i), r.word())
		}
	}
}

// add mostly adds one value; what is there twice or without a value is there to confuse.
func (r random) add(header http.Header, name, value string) {
	name = http.CanonicalHeaderKey(name)
	switch r.IntN(40) {
	case 0:
		header[name] = []string{}
	case 1:
		header[name] = []string{value, r.text(), value}
	case 2:
		header[name] = append(make([]string, r.IntN(3000)), value)
	default:
		header[name] = []string{value}
	}
}

func (r random) uri() string {
	if r.once(50) {
		return r.text()
	}
	version, kind := "/v1.0", pick(r, "publish", "publish", "publish/bulk")
	if r.once(3) {
		version = pick(r, "/v1.0-alpha1", "/v1.0-alpha1", "/v1.0-beta1", "/v1.1", "//v1.0/.", "/x/../v1.0", "/v1.0x", "v1.0")
	}
	if r.once(5) {
		kind = pick(r, "publish/./bulk", "Publish", pick(r, api...))
	}
	parts := []string{version, kind}
	for range pick(r, 2, 2, 2, 2, 0, 1, 3, 5) {
		part := r.escaped(r.name())
		if r.once(30) {
			part = pick(r, "", ".", "..", "bulk", "%2e%2E", "%00", "%", "%zz", "+", ";", ":")
		}
		parts = append(parts, part)
	}
	uri := strings.Join(parts, "/")
	switch r.IntN(8) {
	case 0:
		uri += "/"
	case 1:
		uri += "?metadata.rawPayload=true&metadata.partitionKey=" + url.QueryEscape(r.text())
	case 2:
		uri += "?" + r.text()
	}
	if r.once(100) {
		// To the very end of the room that the guest has, and just beyond.
		uri = fmt.Sprintf("%s%0*d", uri, max(0, r.near(room)-len(uri)), 0)
	}
	return uri
}

// name is mostly one that could be.
func (r random) name() string {
	if r.once(4) {
		return r.text()
	}
	return pick(r, "kafka-pubsub", "lesson.generated", "p", "user-progress", r.word())
}

func (r random) word() string {
	letters := make([]byte, 1+r.IntN(12))
	for i := range letters {
		letters[i] = "abcdefghijklmnopqrstuvwxyz0123456789-._"[r.IntN(39)]
	}
	return string(letters)
}

// text may be anything.
func (r random) text() string {
	var text strings.Builder
	for range 1 + r.IntN(6) {
		text.WriteString(pick(r, r.word(), r.word(), "/", "é☃", "😀", " ", "\"", "\\", "<&>", "{\"lf\":1,\"dir\":\"publish\"", "\n", "\x1b[31m",
			"\x00", "\u2028", "\ufffd", string(rune(r.IntN(0x110000))), r.bytes(r.IntN(5)), "\xe2\x82", "\xf0\x9f\x98", "\xed\xa0\x80", "'"))
	}
	switch {
	case r.once(20):
		// To the very end of what a record holds.
		return r.stretched(text.String(), r.near(longestOf))
	case r.once(150):
		return r.stretched(text.String(), r.near(pick(r, room, 2*room, 4*room)))
	case r.once(50):
		return ""
	}
	return text.String()
}

func (r random) stretched(text string, length int) string {
	text += "." // It may be empty.
	shift := strings.Repeat("x", r.IntN(8))
	return (shift + strings.Repeat(text, 1+length/len(text)))[:length]
}

func (r random) near(length int) int { return length + r.IntN(9) - 4 }

func (r random) bytes(length int) string {
	bytes := make([]byte, length)
	for i := range bytes {
		bytes[i] = byte(r.Uint32())
	}
	return string(bytes)
}

// escaped as clients do it, and as they need not.
func (r random) escaped(text string) string {
	if r.once(3) {
		return url.PathEscape(text)
	}
	if r.once(3) {
		return url.QueryEscape(text)
	}
	var escaped strings.Builder
	for _, char := range []byte(text) {
		if r.once(6) {
			fmt.Fprintf(&escaped, pick(r, "%%%02x", "%%%02X"), char)
		} else {
			escaped.WriteByte(char)
		}
	}
	return escaped.String()
}

func (r random) number(usual uint64) string {
	if !r.once(4) {
		return fmt.Sprint(usual + r.Uint64N(usual))
	}
	return pick(r, "0", "-1", "+1", "007", " 1", "1 ", "1.0", "1e3", "0x10", "1_000", "٣", "-62135596800000", "4294967295", "4294967296",
		"9223372036854775807", "9223372036854775808", "18446744073709551609", "18446744073709551615", "18446744073709551616",
		strings.Repeat("0", 100)+"5", strings.Repeat("9", 30000), fmt.Sprint(r.Uint64()), r.text())
}

func (r random) traceParent() string {
	valid := fmt.Sprintf("%02x-%016x%016x-%016x-%02x", pick(r, 0, 0, 0, 1, 0xff), r.Uint64(), r.Uint64(), r.Uint64(), pick(r, 0, 1, 1, r.IntN(256)))
	if !r.once(3) {
		return valid
	}
	at := r.IntN(len(valid))
	return pick(r, valid[:at], valid+"-"+r.text(), valid[:at]+r.text()+valid[at:], strings.ToUpper(valid), valid[:at]+"g"+valid[at+1:],
		strings.Replace(valid, valid[3:35], strings.Repeat("0", 32), 1), strings.Replace(valid, valid[36:52], strings.Repeat("0", 16), 1), r.text())
}

func (r random) body(c *randomised) {
	switch r.IntN(4) {
	case 0:
	case 1:
		c.body = []byte(r.json(3))
	default:
		c.body = []byte(r.text())
	}
	if r.once(200) {
		c.body = []byte(r.bytes(r.near(4 * room)))
	}
	if r.once(2) {
		c.length = int64(len(c.body))
	}
	c.reads = pick(r, len(c.body)+1, len(c.body)+1, 0, len(c.body)/2)
}
