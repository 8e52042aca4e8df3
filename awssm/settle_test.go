package awssm_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/tokenkeep/tokenkeep/awssm/awssmtest"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

// What the service says, in words that it was seen to use, with the value echoed
// where a value can be.
var (
	exists   = awssmtest.Error{Code: "ResourceExistsException", Message: "You can't use ClientRequestToken: "}
	denied   = awssmtest.Error{Code: "AccessDeniedException", Message: "User is not authorized: "}
	quota    = awssmtest.Error{Code: "LimitExceededException", Message: "You have exceeded the quota: "}
	noKey    = awssmtest.Error{Code: "EncryptionFailure", Message: "can't encrypt: "}
	resting  = awssmtest.Error{Code: "InvalidRequestException", Message: "You can't perform this operation on the secret because it was marked for deletion."}
	noSecret = awssmtest.Error{Code: "ResourceNotFoundException", Message: "Secrets Manager can't find the specified secret."}
	noSlot   = awssmtest.Error{Code: "ResourceNotFoundException", Message: "Secrets Manager can't find the specified secret value for VersionId: 1"}
	trouble  = awssmtest.Error{Status: http.StatusServiceUnavailable, Code: "ServiceUnavailable", Message: "busy: "}
)

// A write is tried against each of these; W is the operation that writes, G reads.
// The SDK sends three times; what it does not settle, the driver does.
var settlements = []struct {
	what   string
	writes []awssmtest.Action // what happens to the requests that write, in order
	reads  []awssmtest.Action // and to those that read
	calls  string
	want   error // besides nil: the write is applied if and only if there is no error
}{
	{what: "nothing goes wrong", calls: "W"},
	{what: "the answer is lost", writes: []awssmtest.Action{awssmtest.LoseAnswer()}, calls: "WW"},
	{what: "the request is lost", writes: []awssmtest.Action{awssmtest.LoseRequest()}, calls: "WW"},
	{what: "the request arrives twice", writes: []awssmtest.Action{awssmtest.Duplicate()}, calls: "W"},
	{what: "a proxy gives up before the service", writes: []awssmtest.Action{awssmtest.FailAfter(awssmtest.BadGateway())}, calls: "WW"},
	{what: "the service fails before", writes: []awssmtest.Action{awssmtest.FailBefore(awssmtest.InternalServiceError())}, calls: "WW"},
	{what: "the service fails after", writes: []awssmtest.Action{awssmtest.FailAfter(awssmtest.InternalServiceError())}, calls: "WW"},
	{
		what:   "all answers to the SDK are lost",
		writes: []awssmtest.Action{awssmtest.LoseAnswer(), awssmtest.LoseAnswer(), awssmtest.LoseAnswer()},
		calls:  "WWWG",
	},
	{
		what:   "all requests of the SDK fail",
		writes: []awssmtest.Action{awssmtest.EchoBody(trouble), awssmtest.EchoBody(trouble), awssmtest.LoseRequest()},
		calls:  "WWWGW",
	},
	{
		what:   "all answers are lost, and then reads fail",
		writes: []awssmtest.Action{awssmtest.LoseAnswer(), awssmtest.LoseAnswer(), awssmtest.LoseAnswer()},
		reads:  []awssmtest.Action{awssmtest.FailBefore(denied)},
		calls:  "WWWGW",
	},

	// A refusal of the last request says nothing about the first.
	{
		what:   "throttled after a lost answer",
		writes: []awssmtest.Action{awssmtest.LoseAnswer(), awssmtest.Throttle(), awssmtest.Throttle()},
		calls:  "WWWG",
	},
	{
		what:   "throttled after a lost request",
		writes: []awssmtest.Action{awssmtest.LoseRequest(), awssmtest.Throttle(), awssmtest.Throttle()},
		calls:  "WWWGW",
	},
	{
		what:   "out of quota after a lost answer",
		writes: []awssmtest.Action{awssmtest.LoseAnswer(), awssmtest.EchoBody(quota), awssmtest.EchoBody(quota)},
		calls:  "WWWG",
	},
	{what: "refused after a lost answer", writes: []awssmtest.Action{awssmtest.LoseAnswer(), awssmtest.EchoBody(denied)}, calls: "WWG"},
	{what: "refused after a lost request", writes: []awssmtest.Action{awssmtest.LoseRequest(), awssmtest.EchoBody(denied)}, calls: "WWGW"},
	{what: "without a key after a lost answer", writes: []awssmtest.Action{awssmtest.LoseAnswer(), awssmtest.EchoBody(noKey)}, calls: "WWG"},
	{what: "not found after a lost request", writes: []awssmtest.Action{awssmtest.LoseRequest(), awssmtest.FailBefore(noSecret)}, calls: "WWGW"},
	{what: "marked for deletion after a lost request", writes: []awssmtest.Action{awssmtest.LoseRequest(), awssmtest.FailBefore(resting)}, calls: "WWGW"},

	// Emulators refuse a write that is there already, though it is the same.
	{what: "refused by itself", writes: []awssmtest.Action{awssmtest.LoseAnswer(), awssmtest.EchoBody(exists)}, calls: "WWG"},
	{
		what:   "refused by itself, which is not to be seen yet",
		writes: []awssmtest.Action{awssmtest.LoseAnswer(), awssmtest.EchoBody(exists)},
		reads:  []awssmtest.Action{awssmtest.FailBefore(noSlot)},
		calls:  "WWGG",
	},
	{
		what:   "refused by itself, and nothing is to be seen yet",
		writes: []awssmtest.Action{awssmtest.LoseAnswer(), awssmtest.EchoBody(exists), awssmtest.EchoBody(exists)},
		reads:  []awssmtest.Action{awssmtest.FailBefore(noSecret), awssmtest.FailBefore(noSecret)},
		calls:  "WWGGWG",
	},

	// Refusals that are the outcome.
	{what: "refused", writes: []awssmtest.Action{awssmtest.EchoBody(denied)}, calls: "W", want: driver.ErrPermission},
	{what: "without a key", writes: []awssmtest.Action{awssmtest.EchoBody(noKey)}, calls: "W", want: driver.ErrPermission},
	{what: "marked for deletion", writes: []awssmtest.Action{awssmtest.FailBefore(resting)}, calls: "W", want: driver.ErrDeleted},
	{
		what:   "throttled",
		writes: []awssmtest.Action{awssmtest.Throttle(), awssmtest.Throttle(), awssmtest.Throttle()},
		calls:  "WWW", want: driver.ErrUnavailable,
	},
	{
		what:   "out of quota",
		writes: []awssmtest.Action{awssmtest.EchoBody(quota), awssmtest.EchoBody(quota), awssmtest.EchoBody(quota)},
		calls:  "WWW", want: driver.ErrQuota,
	},
}

func TestPutSettles(t *testing.T) {
	for _, c := range settlements {
		for _, operation := range []string{"CreateSecret", "PutSecretValue"} {
			t.Run(operation+" "+c.what, func(t *testing.T) {
				s := start(t)
				d := s.driver(t, nil)
				value, prev := first(t), driver.Absent
				if operation == "PutSecretValue" {
					prev = put(t, d, "a", value, prev)
					value = after(t, value)
				}
				before, _, _ := s.Value(prefix + "/a")
				s.ResetCalls()
				for _, do := range c.writes {
					s.fault(1, do, operation)
				}
				for _, do := range c.reads {
					s.fault(1, do, "GetSecretValue")
				}

				rev, err := d.Put(t.Context(), "a", value, prev)
				if !errors.Is(err, c.want) {
					t.Fatalf("error %v, want %v", err, c.want)
				}
				silent(t, err)
				if got := brief(s.called(), operation); got != c.calls {
					t.Errorf("requests %s, want %s", got, c.calls)
				}
				now, id, _ := s.Value(prefix + "/a")
				switch {
				case err == nil && (now != string(value) || id != string(rev)):
					t.Error("the value is not in the service at the revision that was returned")
				case err != nil && now != before:
					t.Error("the value is in the service")
				}
				if err == nil {
					put(t, d, "a", after(t, value), rev)
				}
			})
		}
	}
}

// brief writes W for a writing operation and G for a read.
func brief(operations []string, write string) string {
	return strings.NewReplacer(write, "W", "GetSecretValue", "G").Replace(strings.Join(operations, ""))
}

// The same, where another writer was faster. A replacement finds the other's value
// at the version that both wanted; the version of a creation is its own, so what
// tells there is who created the secret.
func TestPutSettlesConflicts(t *testing.T) {
	hidden := awssmtest.FailBefore(noSlot)
	for _, c := range []struct {
		what            string
		writes          []awssmtest.Action
		reads           []awssmtest.Action
		create, replace string
	}{
		{what: "nothing goes wrong", create: "WG", replace: "WG"},
		{what: "the version is not to be seen yet", reads: []awssmtest.Action{hidden}, create: "WG", replace: "WG"},
		{what: "the version may not be read", reads: []awssmtest.Action{awssmtest.FailBefore(denied)}, create: "WG", replace: "WG"},
		{
			what:   "the version cannot be read for a time",
			reads:  []awssmtest.Action{awssmtest.FailBefore(trouble), awssmtest.FailBefore(trouble), awssmtest.FailBefore(trouble)},
			create: "WGGGWG", replace: "WGGGWG",
		},
		{what: "the request is lost", writes: []awssmtest.Action{awssmtest.LoseRequest()}, create: "WWGG", replace: "WWG"},
		{what: "the answer is lost", writes: []awssmtest.Action{awssmtest.LoseAnswer()}, create: "WWGG", replace: "WWG"},
		{
			what:   "the answer is lost and the version not to be seen yet",
			writes: []awssmtest.Action{awssmtest.LoseAnswer()},
			reads:  []awssmtest.Action{hidden},
			create: "WWGG", replace: "WWGG",
		},
		{
			what:   "the answer is lost and nothing to be seen yet",
			writes: []awssmtest.Action{awssmtest.LoseAnswer()},
			reads:  []awssmtest.Action{hidden, hidden},
			create: "WWGGWGG", replace: "WWGGWG",
		},
		{
			what:   "all answers are lost",
			writes: []awssmtest.Action{awssmtest.LoseAnswer(), awssmtest.LoseAnswer(), awssmtest.LoseAnswer()},
			create: "WWWGWGG", replace: "WWWG",
		},
	} {
		for operation, want := range map[string]string{"CreateSecret": c.create, "PutSecretValue": c.replace} {
			t.Run(operation+" "+c.what, func(t *testing.T) {
				s := start(t)
				d := s.driver(t, nil)
				theirs := first(t)
				mine, prev := first(t), driver.Absent
				rev := put(t, d, "a", theirs, prev)
				if operation == "PutSecretValue" {
					mine, prev = after(t, theirs), rev
					theirs = after(t, theirs)
					put(t, d, "a", theirs, prev)
				}
				s.ResetCalls()
				for _, do := range c.writes {
					s.fault(1, do, operation)
				}
				for _, do := range c.reads {
					s.fault(1, do, "GetSecretValue")
				}
				_, err := d.Put(t.Context(), "a", mine, prev)
				if !errors.Is(err, driver.ErrConflict) || errors.Is(err, driver.ErrOutcomeUnknown) {
					t.Fatalf("error %v, want %v", err, driver.ErrConflict)
				}
				silent(t, err)
				if got := brief(s.called(), operation); got != want {
					t.Errorf("requests %s, want %s", got, want)
				}
				s.holds(t, "a", theirs)
			})
		}
	}
}

func TestPutRepeatedOnAnEmulator(t *testing.T) {
	s := start(t)
	d := s.driver(t, nil)
	value := first(t)
	rev := put(t, d, "a", value, driver.Absent)
	next := after(t, value)
	last := put(t, d, "a", next, rev)
	s.fault(0, awssmtest.FailBefore(exists), "CreateSecret", "PutSecretValue")
	if got := put(t, d, "a", next, rev); got != last {
		t.Errorf("the repeated replacement has the revision %q, want %q", got, last)
	}
	if got := put(t, d, "a", value, driver.Absent); got != rev {
		t.Errorf("the repeated creation has the revision %q, want %q", got, rev)
	}
}

func TestReplacingWhatIsNotThereIsAConflict(t *testing.T) {
	s := start(t)
	_, err := s.driver(t, nil).Put(t.Context(), "a", first(t), "1b671a64-40d5-491e-99b0-da01ff1f3341")
	if !errors.Is(err, driver.ErrConflict) {
		t.Errorf("error %v, want %v", err, driver.ErrConflict)
	}
	s.lacks(t, "a")
}

func TestDeleteSettles(t *testing.T) {
	lost := awssmtest.LoseAnswer()
	for _, c := range []struct {
		what  string
		do    []awssmtest.Action
		calls int
		want  error
	}{
		{"nothing goes wrong", nil, 1, nil},
		{"all answers are lost", []awssmtest.Action{lost, lost, lost}, 4, nil},
		{"all requests are lost", []awssmtest.Action{awssmtest.LoseRequest(), awssmtest.LoseRequest(), awssmtest.LoseRequest()}, 4, nil},
		{"refused after a lost answer", []awssmtest.Action{lost, awssmtest.FailBefore(denied)}, 3, nil},
		{"refused", []awssmtest.Action{awssmtest.FailBefore(denied)}, 1, driver.ErrPermission},
		{"throttled", []awssmtest.Action{awssmtest.Throttle(), awssmtest.Throttle(), awssmtest.Throttle()}, 3, driver.ErrUnavailable},
	} {
		t.Run(c.what, func(t *testing.T) {
			s := start(t)
			d := s.driver(t, nil)
			put(t, d, "a", first(t), driver.Absent)
			s.ResetCalls()
			for _, do := range c.do {
				s.fault(1, do, "DeleteSecret")
			}
			if err := d.Delete(t.Context(), "a"); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if got := len(s.called()); got != c.calls {
				t.Errorf("%d requests, want %d", got, c.calls)
			}
			if deleted := errors.Is(get(t, d, "a").Err, driver.ErrDeleted); deleted != (c.want == nil) {
				t.Errorf("deleted: %v", deleted)
			}
		})
	}
}
