package awssmtest

import (
	"math/rand/v2"
	"regexp"
	"strings"
)

// A ref is what a SecretId means: a name, and the ARN if it has to be that one.
type ref struct {
	name string
	arn  string // empty: any
}

func (r ref) means(sec *secret) bool {
	return sec != nil && (r.arn == "" || r.arn == sec.arn)
}

// "Secrets Manager automatically adds a hyphen and six random characters after
// the secret name at the end of the ARN."
var arnSuffix = regexp.MustCompile(`-[A-Za-z0-9]{6}$`)

// resolve reads a SecretId: a name, an ARN, or a partial ARN, which is one
// without the suffix. What ends with a hyphen and six characters is taken for a
// whole ARN. So the partial ARN of a secret whose own name ends like that finds
// nothing, or another secret, as AWS's documentation warns and LocalStack's
// recordings of AWS show.
func (s *Server) resolve(operation string, id *string) (ref, *Error) {
	if id == nil {
		return ref{}, errRequired("secretId")
	}
	if e := checkLength(id, "secretId", 1, maxSecretID); e != nil {
		return ref{}, e
	}
	if !strings.HasPrefix(*id, "arn:") {
		if !anyName.MatchString(*id) {
			return ref{}, errName()
		}
		return ref{name: *id}, nil
	}
	parts := strings.SplitN(*id, ":", 7)
	if len(parts) < 7 || parts[2] != "secretsmanager" || parts[5] != "secret" || !anyName.MatchString(parts[6]) {
		return ref{}, errName()
	}
	if region, account := parts[3], parts[4]; account != s.account {
		return ref{}, s.errDenied(operation, *id) // no resource policy lets this caller in
	} else if region != s.region {
		return ref{}, errNoSecret()
	}
	if suffix := arnSuffix.FindString(parts[6]); suffix != "" {
		return ref{name: strings.TrimSuffix(parts[6], suffix), arn: *id}, nil
	}
	return ref{name: parts[6]}, nil
}

// nameOf guesses the name in a SecretId that may be wrong in every way.
func nameOf(id string) string {
	if parts := strings.SplitN(id, ":", 7); len(parts) == 7 {
		return strings.TrimSuffix(parts[6], arnSuffix.FindString(parts[6]))
	}
	return id
}

func (s *Server) arnOf(name string) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	suffix := make([]byte, 6)
	for i := range suffix {
		suffix[i] = letters[rand.IntN(len(letters))]
	}
	return "arn:aws:secretsmanager:" + s.region + ":" + s.account + ":secret:" + name + "-" + string(suffix)
}

// permit asks the caller's policy.
func (s *Server) permit(operation, name, resource string) *Error {
	if s.policy == nil || s.policy(operation, name) {
		return nil
	}
	return s.errDenied(operation, resource)
}

// find returns the newest state of the secret that an operation changes, also
// one that is scheduled for deletion.
func (s *Server) find(operation string, id *string) (*secret, *Error) {
	return s.look(operation, id, s.newest)
}

// findLive is find for operations that a scheduled deletion forbids.
func (s *Server) findLive(operation string, id *string) (*secret, *Error) {
	return live(s.find(operation, id))
}

// read returns the secret that an operation reads, as stale as reads may be.
func (s *Server) read(operation string, id *string) (*secret, *Error) {
	return s.look(operation, id, s.seen)
}

// readLive is read for operations that a scheduled deletion forbids.
func (s *Server) readLive(operation string, id *string) (*secret, *Error) {
	return live(s.read(operation, id))
}

func (s *Server) look(operation string, id *string, state func(name string) *secret) (*secret, *Error) {
	r, e := s.resolve(operation, id)
	if e != nil {
		return nil, e
	}
	// Permission comes first: who may not look cannot tell a missing secret.
	if e := s.permit(operation, r.name, *id); e != nil {
		return nil, e
	}
	sec := state(r.name)
	if !r.means(sec) {
		return nil, errNoSecret()
	}
	return sec, nil
}

func live(sec *secret, e *Error) (*secret, *Error) {
	if e == nil && sec.scheduled() {
		return nil, errScheduled()
	}
	return sec, e
}
