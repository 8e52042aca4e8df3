package vaultstore_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/vaultstore"
	"github.com/tokenkeep/tokenkeep/vaultstore/vaultstoretest"
)

// Vault's words.
const (
	saysMismatch   = "check-and-set parameter did not match the current version"
	saysSealed     = "Vault is sealed"
	saysNoLeader   = "local node not active but active cluster node not found"
	saysNoActive   = "no active Vault instance found"
	saysOverloaded = "overloaded, try again later"
	saysUpgrading  = "Upgrading from non-versioned to versioned data. This backend will be unavailable for a brief period and will resume service shortly."
	saysWaiting    = "Waiting for the primary to upgrade from non-versioned to versioned data. This backend will be unavailable for a brief period and will resume service when the primary is finished."
	saysDenied     = "1 error occurred:\n\t* permission denied\n\n"
	saysExpired    = "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"
	saysNoRoute    = `no handler for route "secret/data/a". route entry not found.`
	saysLostOffice = "1 error occurred:\n\t* leadership lost while committing log\n\n"
	saysTooLarge   = "1 error occurred:\n\t* put failed due to value being too large; got 1234567 bytes, max: 1048576 bytes\n\n"
	saysState      = "required index state not present"
)

// stands makes sure that a driver that knows nothing reads a value.
func (s *service) stands(t testing.TB, name string, value []byte, rev driver.Revision) {
	t.Helper()
	got := get(t, s.driver(t, nil), name)
	if got.Err != nil || string(got.Value) != string(value) || got.Revision != rev {
		t.Errorf("the secret %s is %d bytes at %q (%v), want %d bytes at %q", name, len(got.Value), got.Revision, got.Err, len(value), rev)
	}
}

// pile lets a driver write on top of a secret, n times.
func pile(t testing.TB, d driver.Driver, name string, n int) {
	t.Helper()
	for range n {
		item := get(t, d, name)
		value := first(t)
		if item.Revision != driver.Absent {
			value = after(t, item.Value)
		}
		put(t, d, name, value, item.Revision)
	}
}

// aside writes the secret a behind the back of the test.
func aside(t testing.TB, d driver.Driver, value []byte, prev driver.Revision) (wait func() (driver.Revision, error)) {
	var (
		rev  driver.Revision
		err  error
		done = make(chan struct{})
	)
	go func() {
		defer close(done)
		rev, err = d.Put(t.Context(), "a", value, prev)
	}()
	return func() (driver.Revision, error) {
		<-done
		return rev, err
	}
}

// reaches waits until a fault has hit a request.
func reaches(t testing.TB, i *vaultstoretest.Injection) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := i.Await(ctx, 1); err != nil {
		t.Fatal(err)
	}
}

// brief writes P for a write, G for a read, D for a destruction.
func brief(operations []string) string {
	return strings.NewReplacer("PUT data", "P", "GET data", "G", "PUT destroy", "D").Replace(strings.Join(operations, ""))
}

// warm returns a driver that knows the mount.
func (s *service) warm(t testing.TB) *vaultstore.Driver {
	t.Helper()
	d := s.driver(t, nil)
	put(t, d, "warm", first(t), driver.Absent)
	return d
}

// both runs a test for a write that creates a secret and for one that replaces its value.
func both(t *testing.T, what string, f func(t *testing.T, s *service, d *vaultstore.Driver, value []byte, prev driver.Revision)) {
	for _, creates := range []bool{true, false} {
		t.Run(map[bool]string{true: "a creation, ", false: "a replacement, "}[creates]+what, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *service) {
				d := s.warm(t)
				value, prev := first(t), driver.Absent
				if !creates {
					prev = put(t, d, "a", value, prev)
					value = after(t, value)
				}
				s.ResetCalls()
				f(t, s, d, value, prev)
			})
		})
	}
}

type actions = []vaultstoretest.Action

// A settlement is what happens to the requests of one write.
type settlement struct {
	what   string
	writes actions // to the writes, in order
	reads  actions // and to the reads
	calls  string  // of a replacement; a creation destroys nothing after
	want   error   // the write is applied if and only if it is nil
}

func settlements() []settlement {
	before, echo := vaultstoretest.FailBefore, vaultstoretest.EchoBody
	lost, cut := vaultstoretest.LoseAnswer(), vaultstoretest.LoseRequest()
	denied, trouble := echo(http.StatusForbidden), echo(http.StatusBadGateway)
	list := []settlement{
		{what: "nothing goes wrong", calls: "PD"},
		{what: "the answer is lost", writes: actions{lost}, calls: "PGD"},
		{what: "the request is lost", writes: actions{cut}, calls: "PGGPD"},
		{what: "the request arrives twice", writes: actions{vaultstoretest.Duplicate()}, calls: "PGD"},
		{what: "the request is redirected", writes: actions{vaultstoretest.Redirect()}, calls: "PPD"},
		{what: "the request is applied and redirected", writes: actions{vaultstoretest.RedirectAfter()}, calls: "PPGD"},
		{what: "the request is redirected in circles", writes: actions{vaultstoretest.Redirect(), vaultstoretest.Redirect()}, calls: "PPGGPD"},
		{what: "Vault hangs before", writes: actions{vaultstoretest.Hang()}, calls: "PGGPD"},
		{what: "Vault hangs after", writes: actions{vaultstoretest.HangAfter()}, calls: "PGD"},
		{what: "the answer names another version", writes: actions{vaultstoretest.ReplaceData(map[string]any{"version": 77})}, calls: "PGD"},
		{what: "many requests are lost", writes: actions{cut, trouble, vaultstoretest.Hang(), trouble, cut}, calls: "PGGPGGPGGPGGPGGPD"},
		{what: "a node that is behind refuses it", writes: actions{before(400, saysMismatch)}, calls: "PGGPD"},

		{what: "the answer is lost and then a read", writes: actions{lost}, reads: actions{cut}, calls: "PGGD"},
		{what: "the answer is lost, and then reads fail", writes: actions{lost}, reads: actions{trouble, lost, vaultstoretest.Hang(), trouble}, calls: "PGGGGGD"},
		{what: "the answer is lost, and then reads are refused", writes: actions{lost}, reads: actions{denied, denied}, calls: "PGPGPGD"},
		{what: "the answer is lost, and then reads run into a quota", writes: actions{lost}, reads: actions{vaultstoretest.Throttle()}, calls: "PGGD"},

		// A refusal of a later request says nothing about the first.
		{what: "refused after a lost request", writes: actions{cut, denied}, calls: "PGGPGGPD"},
		{what: "refused after a lost answer", writes: actions{lost, denied}, reads: actions{denied, denied}, calls: "PGPGPGD"},
		{what: "invalid after a lost request", writes: actions{cut, echo(http.StatusBadRequest)}, calls: "PGGPGGPD"},
		{what: "not found after a lost request", writes: actions{cut, before(404, saysNoRoute)}, calls: "PGGPGGPD"},
		{what: "out of quota after a lost request", writes: actions{cut, vaultstoretest.Throttle()}, calls: "PGGPGGPD"},
		{what: "sealed after a lost answer", writes: actions{lost, before(503, saysSealed)}, calls: "PGD"},

		// Refusals that are the outcome.
		{what: "refused", writes: actions{denied}, calls: "P", want: driver.ErrPermission},
		{what: "refused with Vault's words", writes: actions{before(403, saysDenied)}, calls: "P", want: driver.ErrPermission},
		{what: "without a token", writes: actions{before(403, saysExpired)}, calls: "P", want: driver.ErrPermission},
		{what: "invalid", writes: actions{echo(http.StatusBadRequest)}, calls: "P", want: driver.ErrInvalid},
		{what: "a mount that is gone", writes: actions{before(404, saysNoRoute)}, calls: "P", want: driver.ErrInvalid},
		{what: "nothing there", writes: actions{before(404)}, calls: "P", want: driver.ErrInvalid},
		{what: "too large for a proxy", writes: actions{echo(http.StatusRequestEntityTooLarge)}, calls: "P", want: driver.ErrTooLarge},
		{what: "too large for the storage", writes: actions{before(500, saysTooLarge)}, calls: "P", want: driver.ErrTooLarge},
		{what: "refused after a quota", writes: actions{vaultstoretest.Throttle(), denied}, calls: "PP", want: driver.ErrPermission},
	}
	for what, do := range map[string]vaultstoretest.Action{
		"out of quota": vaultstoretest.Throttle(), "behind": before(412, saysState), "upgrading": before(400, saysUpgrading),
		"waiting for an upgrade": before(400, saysWaiting), "sealed": before(503, saysSealed), "without a leader": before(500, saysNoLeader),
		"overloaded": before(503, saysOverloaded),
	} { // What was surely not applied is waited out.
		list = append(list, settlement{what: what + " for a while", writes: actions{do, do, do}, calls: "PPPPD"})
	}
	// A leader that is cut off, and a standby that passed the write on to one, may have it.
	for status, says := range map[int]string{500: saysLostOffice, 503: saysNoActive} {
		list = append(list,
			settlement{what: says + " before", writes: actions{before(status, says)}, calls: "PGGPD"},
			settlement{what: says + " after", writes: actions{vaultstoretest.FailAfter(status, says)}, calls: "PGD"})
	}
	for _, status := range []int{408, 472, 473, 500, 502, 503, 504, 599} {
		open := status == 408 || status >= 500
		calls := map[bool]string{true: "PGGPD", false: "PPD"}[open]
		list = append(list, settlement{what: fmt.Sprint(status, " before"), writes: actions{echo(status)}, calls: calls})
		if open {
			list = append(list, settlement{what: fmt.Sprint(status, " after"), writes: actions{vaultstoretest.FailAfter(status, canary)}, calls: "PGD"})
		}
	}
	return list
}

func TestPutSettles(t *testing.T) {
	for _, c := range settlements() {
		both(t, c.what, func(t *testing.T, s *service, d *vaultstore.Driver, value []byte, prev driver.Revision) {
			held, number := s.holds("a")
			for _, do := range c.writes {
				s.fault(1, do, "PUT data")
			}
			for _, do := range c.reads {
				s.fault(1, do, "GET data")
			}
			rev, err := d.Put(t.Context(), "a", value, prev)
			if !errors.Is(err, c.want) || errors.Is(err, driver.ErrOutcomeUnknown) {
				t.Fatalf("error %v, want %v", err, c.want)
			}
			silent(t, err)
			want := c.calls
			if prev == driver.Absent {
				want = strings.TrimSuffix(want, "D")
			}
			if got := brief(s.called()); got != want {
				t.Errorf("requests %s, want %s", got, want)
			}
			if err != nil {
				if now, n := s.holds("a"); now != held || n != number {
					t.Errorf("version %d, want %d", n, number)
				}
				return
			}
			s.stands(t, "a", value, rev)
			value = after(t, value)
			s.stands(t, "a", value, put(t, d, "a", value, rev))
			if _, n := s.holds("a"); n != number+2 {
				t.Errorf("version %d, want %d", n, number+2)
			}
		})
	}
}

// The same, where others write before the write finds out what became of it.
func TestPutSettlesWhenOthersWrite(t *testing.T) {
	lost := driver.ErrConflict
	for _, c := range []struct {
		what   string
		do     vaultstoretest.Action
		others int
		want   error
	}{
		{"another one takes the place", vaultstoretest.Hang(), 1, lost},
		{"another one takes the place and others destroy it", vaultstoretest.Hang(), 2, lost},
		{"the history just goes back to the place", vaultstoretest.Hang(), 17, lost},
		{"the history does not go back to the place", vaultstoretest.Hang(), 18, driver.ErrOutcomeUnknown},

		{"another one writes on top and destroys it", vaultstoretest.HangAfter(), 1, nil},
		{"some write on top and destroy it", vaultstoretest.HangAfter(), 5, nil},
		{"the history just names it", vaultstoretest.HangAfter(), 16, nil},
		{"the history does not name it any more", vaultstoretest.HangAfter(), 17, driver.ErrOutcomeUnknown},
	} {
		for versions, keeps := range map[int]string{10: "ten versions", 1: "one version"} {
			both(t, c.what+" where the mount keeps "+keeps, func(t *testing.T, s *service, d *vaultstore.Driver, value []byte, prev driver.Revision) {
				s.SetMountConfig(mount, versions, false, 0)
				hung := s.fault(1, c.do, "PUT data")
				mine := aside(t, d, value, prev)
				reaches(t, hung)
				synctest.Wait() // it is applied, if it is to be
				other := s.driver(t, nil)
				pile(t, other, "a", c.others)
				top := get(t, other, "a")
				_, err := mine()
				if !errors.Is(err, c.want) || c.want == nil && err != nil {
					t.Fatalf("error %v, want %v", err, c.want)
				}
				silent(t, err)
				s.stands(t, "a", top.Value, top.Revision)
				value = after(t, top.Value)
				s.stands(t, "a", value, put(t, d, "a", value, top.Revision)) // the driver goes on from there
			})
		}
	}
}

// A request that was applied twice is answered with a mismatch. If its place cannot be
// read at once, others may have written so often that nothing tells any more: that is no
// conflict.
func TestPutSettlesARequestThatArrivedTwice(t *testing.T) {
	for others, want := range map[int]error{0: nil, 1: nil, 16: nil, 17: driver.ErrOutcomeUnknown} {
		both(t, fmt.Sprint(others, " others write on top"), func(t *testing.T, s *service, d *vaultstore.Driver, value []byte, prev driver.Revision) {
			s.fault(1, vaultstoretest.Duplicate(), "PUT data")
			look := s.fault(1, vaultstoretest.Hang(), "GET data")
			mine := aside(t, d, value, prev)
			reaches(t, look)
			other := s.driver(t, nil)
			pile(t, other, "a", others)
			top := get(t, other, "a")
			if _, err := mine(); !errors.Is(err, want) || want == nil && err != nil {
				t.Errorf("error %v, want %v", err, want)
			}
			s.stands(t, "a", top.Value, top.Revision)
		})
	}
}

// A process that has not looked for long, and is far behind, has lost a race and no
// more: also if the history does not go back to what it remembers.
func TestPutOfAProcessThatIsFarBehindIsAConflict(t *testing.T) {
	for _, others := range []int{1, 2, 17, 18, 40} {
		both(t, fmt.Sprint(others, " writes behind"), func(t *testing.T, s *service, d *vaultstore.Driver, value []byte, prev driver.Revision) {
			other := s.driver(t, nil)
			pile(t, other, "a", others)
			top := get(t, other, "a")
			s.ResetCalls()
			began := time.Now()
			rev, err := d.Put(t.Context(), "a", value, prev)
			if !errors.Is(err, driver.ErrConflict) || errors.Is(err, driver.ErrOutcomeUnknown) {
				t.Errorf("the write is at %q (%v), want %v", rev, err, driver.ErrConflict)
			}
			if n := s.CountCalls()["PUT data"]; n != 1 || time.Since(began) > 0 {
				t.Errorf("%d writes in %v, want 1 at once", n, time.Since(began))
			}
			s.stands(t, "a", top.Value, top.Revision)
		})
	}
}
