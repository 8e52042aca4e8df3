package gcpsmtest

import (
	"fmt"
	"strings"

	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
)

// An Action is what a [Fault] does to a request.
type Action struct {
	run func(*exchange) answer
}

// FailBefore answers the error; the request is not applied.
func FailBefore(code codes.Code, message string) Action {
	return Action{func(*exchange) answer { return answer{err: status.Error(code, message)} }}
}

// FailAfter applies the request and answers the error all the same, as a
// front end does that gives up on a slow service. The true answer is lost, also
// if it was an error.
func FailAfter(code codes.Code, message string) Action {
	return Action{func(x *exchange) answer {
		x.apply()
		return answer{err: status.Error(code, message)}
	}}
}

// Throttle answers RESOURCE_EXHAUSTED, as for a quota; the request is not applied.
func Throttle() Action {
	return Action{func(*exchange) answer { return answer{err: errThrottled()} }}
}

// LoseRequest cuts the connection; the request is not applied. Other requests
// on the same connection lose their answers with it.
func LoseRequest() Action {
	return Action{func(*exchange) answer { return answer{lost: true} }}
}

// LoseAnswer applies the request and cuts the connection. Other requests on the
// same connection lose their answers with it.
func LoseAnswer() Action {
	return Action{func(x *exchange) answer {
		x.apply()
		return answer{lost: true}
	}}
}

// Duplicate applies the request twice and answers what came of the second time.
// Adding a version twice makes two versions.
func Duplicate() Action {
	return Action{func(x *exchange) answer {
		x.apply()
		return x.apply()
	}}
}

// EchoBody answers an error whose message has the whole request in it, payload
// included; the request is not applied. It catches programs that log, wrap or
// show service errors with secrets in them.
func EchoBody(code codes.Code) Action {
	return Action{func(x *exchange) answer {
		message := fmt.Sprintf("cannot serve %s: %s", x.req.method, prototext.MarshalOptions{}.Format(x.req.in))
		if in, ok := x.req.in.(*pb.AddSecretVersionRequest); ok {
			message += "; payload: " + strings.ToValidUTF8(string(in.GetPayload().GetData()), "?")
		}
		return answer{err: status.Error(code, message)}
	}}
}

// Corrupt applies the request and changes one byte of the payload in the answer,
// so that its checksum is wrong. Answers without a payload stay as they are.
func Corrupt() Action {
	return Action{func(x *exchange) answer {
		a := x.apply()
		if out, ok := a.out.(*pb.AccessSecretVersionResponse); ok {
			out = proto.CloneOf(out)
			data := out.GetPayload().GetData()
			data[len(data)/2] ^= 1
			a.out = out
		}
		return a
	}}
}

// Hold keeps the request from being applied until release is closed. It is
// applied then even if the client has left in the meantime: a late write that
// nobody waits for. A server that closes first drops it.
func Hold(release <-chan struct{}) Action {
	return Action{func(x *exchange) answer {
		if !x.await(release) {
			return answer{lost: true}
		}
		return x.apply()
	}}
}

// HoldAnswer applies the request and keeps the answer back until release is
// closed.
func HoldAnswer(release <-chan struct{}) Action {
	return Action{func(x *exchange) answer {
		a := x.apply()
		if !x.await(release) {
			return answer{lost: true}
		}
		return a
	}}
}

// HoldNumber is Hold for AddSecretVersion, but the version takes its number at
// once. Until release is closed there is a gap: nothing is readable at that
// number, nothing is listed there, and later versions get higher numbers. That
// numbers are given out before versions are readable is a precaution, not
// something that Google documents. Other methods are held as by [Hold].
func HoldNumber(release <-chan struct{}) Action {
	return Action{func(x *exchange) answer {
		in, ok := x.req.in.(*pb.AddSecretVersionRequest)
		if !ok {
			return Hold(release).run(x)
		}
		taken, err := x.server.takeNumber(in)
		if err != nil {
			return answer{err: err}
		}
		if !x.await(release) {
			return answer{lost: true}
		}
		out, err := x.server.fill(taken)
		if err != nil {
			return answer{err: err}
		}
		return answer{out: out}
	}}
}

// BurnNumber makes AddSecretVersion use up a number and answer INTERNAL: nothing
// will ever be readable at that number. Like [HoldNumber] it is a precaution.
// Other methods answer INTERNAL and are not applied.
func BurnNumber() Action {
	return Action{func(x *exchange) answer {
		if in, ok := x.req.in.(*pb.AddSecretVersionRequest); ok {
			if _, err := x.server.takeNumber(in); err != nil {
				return answer{err: err}
			}
		}
		return answer{err: errInternal()}
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
	server *Server
	req    *request
	apply  func() answer
	client <-chan struct{} // closed when the client has left
	reach  func()          // the action has done what it does before it waits
}

func (x *exchange) pass() answer { return x.apply() }

// await waits for the release. It is false if the server closes first.
func (x *exchange) await(release <-chan struct{}) bool {
	x.reach()
	select {
	case <-release:
		return true
	case <-x.server.done:
		return false
	}
}

func (x *exchange) hang() answer {
	x.reach()
	select {
	case <-x.client:
	case <-x.server.done:
	}
	return answer{lost: true}
}
