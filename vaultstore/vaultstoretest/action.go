package vaultstoretest

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// An Action is what a [Fault] does to a request.
type Action struct {
	run func(*exchange) answer
}

// FailBefore answers an error in Vault's form, with the given texts; the request is
// not applied.
func FailBefore(status int, texts ...string) Action {
	return Action{func(*exchange) answer { return errorAnswer(status, texts...) }}
}

// FailAfter applies the request and answers the error all the same, as a proxy does
// that gives up on a slow server. The true answer is lost, also if it was an error.
func FailAfter(status int, texts ...string) Action {
	return Action{func(x *exchange) answer {
		x.apply()
		return errorAnswer(status, texts...)
	}}
}

// Throttle answers as a rate limit quota that is used up; the request is not
// applied.
func Throttle() Action {
	return Action{func(x *exchange) answer {
		return errorAnswer(http.StatusTooManyRequests, fmt.Sprintf("request path %q: rate limit quota exceeded", x.what.path))
	}}
}

// LoseRequest cuts the connection; the request is not applied.
func LoseRequest() Action {
	return Action{func(*exchange) answer { return answer{lost: true} }}
}

// LoseAnswer applies the request and cuts the connection.
func LoseAnswer() Action {
	return Action{func(x *exchange) answer {
		x.apply()
		return answer{lost: true}
	}}
}

// Duplicate applies the request twice and answers what came of the second time.
func Duplicate() Action {
	return Action{func(x *exchange) answer {
		x.apply()
		return x.apply()
	}}
}

// EchoBody answers an error whose text is the whole request body; the request is not
// applied. It catches programs that log, wrap or show Vault's errors with secrets in
// them.
func EchoBody(status int) Action {
	return Action{func(x *exchange) answer { return errorAnswer(status, string(x.body)) }}
}

// Redirect answers HTTP 307 to the same address, as a standby does whose connection
// to the active node is broken; the request is not applied. The api package follows
// one redirect and sends the body again.
func Redirect() Action { return Action{(*exchange).redirect} }

// RedirectAfter applies the request and answers HTTP 307 to the same address, as a
// standby does that has forwarded the request and not heard of the answer: the
// client sends it once more.
func RedirectAfter() Action {
	return Action{func(x *exchange) answer {
		x.apply()
		return x.redirect()
	}}
}

// ReplaceData applies the request and answers with other data, which must be
// something that JSON can hold.
func ReplaceData(data any) Action {
	return Action{func(x *exchange) answer {
		a := x.apply()
		var body map[string]any
		if json.Unmarshal(a.body, &body) != nil || body == nil {
			body = map[string]any{}
		}
		body["data"] = data
		a.body, a.status = encode(body), http.StatusOK
		return a
	}}
}

// Hold keeps the request from being applied until release is closed. It is
// applied then even if the client has left in the meantime: a late write that
// nobody waits for. A server that closes first drops it.
func Hold(release <-chan struct{}) Action {
	return Action{func(x *exchange) answer {
		select {
		case <-release:
			return x.apply()
		case <-x.closed:
			return answer{lost: true}
		}
	}}
}

// HoldAnswer applies the request and keeps the answer back until release is
// closed.
func HoldAnswer(release <-chan struct{}) Action {
	return Action{func(x *exchange) answer {
		a := x.apply()
		select {
		case <-release:
			return a
		case <-x.closed:
			return answer{lost: true}
		}
	}}
}

// Hang never answers: it waits for the client to leave or the server to close.
// The request is not applied.
func Hang() Action { return Action{(*exchange).hang} }

// HangAfter applies the request and never answers.
func HangAfter() Action {
	return Action{func(x *exchange) answer {
		x.apply()
		return x.hang()
	}}
}

// An exchange is one request while an action has it in hand.
type exchange struct {
	what   description
	body   []byte
	self   string // its own address
	apply  func() answer
	client <-chan struct{} // closed when the client has left
	closed <-chan struct{} // closed when the server closes
}

func (x *exchange) pass() answer { return x.apply() }

func (x *exchange) hang() answer {
	select {
	case <-x.client:
	case <-x.closed:
	}
	return answer{lost: true}
}

func (x *exchange) redirect() answer {
	return answer{status: http.StatusTemporaryRedirect, header: http.Header{"Location": {x.self}, "Cache-Control": {"no-store"}}}
}
