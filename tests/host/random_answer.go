package main

import (
	"fmt"
	"net/http"
	"strings"
)

// answer of the handler behind the middleware.
func (r random) answer(c *randomised, bulk, outermost bool) {
	c.answerHeader = http.Header{}
	if !r.once(6) {
		c.answerHeader.Set("Date", "Mon, 05 Jan 2026 10:00:00 GMT")
	}
	for range r.IntN(3) {
		name := pick(r, "Content-Type", "Set-Cookie", "Content-Length", http.TrailerPrefix+"Grpc-Status", "X-"+r.word())
		r.add(c.answerHeader, name, r.text())
	}
	c.status = pick(r, 200, 200, 200, 200, 204, 204, 0, 202, 299, 300, 304, 400, 404, 500, 503, 100+r.IntN(900))
	c.pieces = r.pieces(r.answerBody(bulk))
	if r.once(25) {
		c.panics = panics{pick(r, beforeAll, beforeStatus, betweenPieces, afterAll), r.IntN(3)}
	}
	if outermost && r.once(30) {
		c.inner = r.call(false)
	}
}

// pieces as a handler may write them: whole, or streamed.
func (r random) pieces(body string) (pieces [][]byte) {
	if r.once(10) {
		pieces = append(pieces, nil)
	}
	for body != "" {
		length := len(body)
		if r.once(2) && len(pieces) < 20 {
			length = 1 + r.IntN(length)
		}
		pieces = append(pieces, []byte(body[:length]))
		body = body[length:]
	}
	return pieces
}

func (r random) answerBody(bulk bool) string {
	switch r.IntN(10) {
	case 0:
		return ""
	case 1:
		return r.text()
	case 2:
		return r.json(4)
	}
	var members []string
	if bulk != r.once(20) {
		members = append(members, r.statusesMember())
		if r.once(100) {
			members = append(members, r.statusesMember())
		}
	}
	if !bulk || r.once(8) {
		for range 1 + r.IntN(3) {
			members = append(members, r.statusMember())
		}
	}
	if r.once(3) {
		at := r.IntN(len(members) + 1)
		members = append(members[:at:at], append([]string{r.json(0) + ":" + r.json(3)}, members[at:]...)...)
	}
	if r.once(10) {
		// As deep as the guest follows, and deeper.
		open := r.near(64)
		members = append(members, `"x":`+strings.Repeat("[", open)+strings.Repeat("]", open))
	}
	space := pick(r, "", "", " ", "\n\t\r ")
	if r.once(60) {
		space = strings.Repeat(" ", r.near(pick(r, room, 2*room)))
	}
	body := space + "{" + strings.Join(members, ","+space) + space + "}"
	switch r.IntN(12) {
	case 0:
		body = body[:r.IntN(len(body)+1)]
	case 1:
		body += pick(r, "x", body, " ", r.text())
	case 2:
		at := r.IntN(len(body))
		body = body[:at] + r.bytes(1) + body[at+1:]
	case 3:
		body = pick(r, "["+body+"]", "\ufeff"+body, strings.ToLower(body))
	}
	return body
}

// statusMember has the name and the values that matter, and those that only look so.
func (r random) statusMember() string {
	name := pick(r, "status", "status", "status", "Status", "STATUS", "\\u0073tatus", "st\\u0061tus", "statu", "statuss", "status\\u0000",
		"ſtatus", "ſtatuſ", "\\u017ftatus", "STATU\\u017F", "\\u00c5\\u00bftatus", "\xc5\\u00bftatus", "sſtatus")
	value := pick(r, "SUCCESS", "RETRY", "DROP", "DROP", "", "drop", "\\u0044ROP", "DRO\\u0050", "DROPS", "SUCCES", "SUCCESSS", "ſUCCESS", r.word())
	return fmt.Sprintf("\"%s\"%s:%[2]s%s", name, pick(r, "", "", " "), pick(r, `"`+value+`"`, `"`+value+`"`, `"`+value+`"`, `"`+value+`"`, r.json(2)))
}

// statusesMember has what an app says of several events, and what only looks so.
func (r random) statusesMember() string {
	wild := r.once(2)
	var entries []string
	for range pick(r, 1, 1, 2, 3, 0, r.IntN(30)) {
		id, status := `"entryId":"`+r.word()+`"`, `"status":"`+pick(r, "SUCCESS", "SUCCESS", "SUCCESS", "SUCCESS", "SUCCESS", "DROP")+`"`
		if wild && r.once(3) {
			id = pick(r, `"ENTRYID"`, `"entry\u0049d"`, `"entry_id"`) + ":" + pick(r, `"0"`, `"0"`, `""`, "null", r.json(2))
		}
		if wild && r.once(3) {
			status = pick(r, r.statusMember(), r.statusMember(), `"status":"RETRY"`, `"status":""`, `"status":"DROP",`+r.statusMember())
		}
		entry := "{" + pick(r, id+","+status, id+","+status, status+","+id, r.json(0)+":"+r.json(2)+","+id+","+status) + "}"
		if wild && r.once(6) {
			entry = pick(r, "null", "["+entry+"]", "{"+id+"}", "{"+status+"}", "{"+id+","+id+","+status+","+status+"}", r.json(2))
		}
		entries = append(entries, entry)
	}
	name := pick(r, "statuses", "statuses", "statuses", "Statuses", "ſtatuſeſ", "\\u017ftatuses")
	list := "[" + strings.Join(entries, pick(r, ",", " , ")) + "]"
	if wild && r.once(6) {
		name = pick(r, "statuse", "statusess", "ſtatuſeſſ")
		list = pick(r, list, "null", "{}", r.json(2))
	}
	return fmt.Sprintf("\"%s\":%s", name, list)
}

// json is a value of any kind, now and then a wrong one.
func (r random) json(levels int) string {
	kind := r.IntN(12)
	if levels == 0 {
		kind = 0
	}
	switch kind {
	case 0, 1:
		return `"` + pick(r, r.word(), "status", `\n`, `\/`, `\"`, `\ud83d\ude00`, `\ud83d`, `\x`, `\u12`, "é", "\xff", "\x01", "\x7f") + `"`
	case 2:
		return pick(r, "true", "false", "null", "nul", "True", "truee")
	case 3:
		return pick(r, "0", "-0", "12", "-1.5e3", "1E+2", "1e-2", "01", "-", "1.", ".5", "1e", "+1", "NaN", "1"+strings.Repeat("0", 400))
	case 4, 5, 6:
		var values []string
		for range r.IntN(4) {
			values = append(values, r.json(levels-1))
		}
		return "[" + strings.Join(values, pick(r, ",", " , ")) + pick(r, "]", "]", "]", ",]", "}", "")
	default:
		var members []string
		for range r.IntN(4) {
			members = append(members, r.json(0)+":"+r.json(levels-1))
		}
		return "{" + strings.Join(members, pick(r, ",", " ,\n")) + pick(r, "}", "}", "}", ",}", "]", "")
	}
}
