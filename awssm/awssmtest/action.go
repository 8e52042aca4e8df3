package awssmtest

// An Action is what a [Fault] does to a request.
type Action struct {
	run func(*exchange) answer
}

// FailBefore answers the error; the request is not applied.
func FailBefore(e Error) Action {
	return Action{func(*exchange) answer { return answer{err: &e} }}
}

// FailAfter applies the request and answers the error all the same, as a proxy
// does that gives up on a slow service. The true answer is lost, also if it was
// an error.
func FailAfter(e Error) Action {
	return Action{func(x *exchange) answer {
		x.apply()
		return answer{err: &e}
	}}
}

// Throttle answers ThrottlingException; the request is not applied.
func Throttle() Action { return FailBefore(*errThrottled()) }

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

// EchoBody answers the error with the whole request body appended to its
// message; the request is not applied. It catches programs that log, wrap or
// show service errors with secrets in them.
func EchoBody(e Error) Action {
	return Action{func(x *exchange) answer {
		e := e
		e.Message += string(x.body)
		return answer{err: &e}
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
	body   []byte
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
