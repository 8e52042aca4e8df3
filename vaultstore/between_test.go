package vaultstore_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/vaultstore"
	"github.com/tokenkeep/tokenkeep/vaultstore/vaultstoretest"
)

// What is between a client and Vault: proxies, gateways, standbys.

// writes reports whether a request is one of a value.
func writes(r *http.Request) bool {
	return r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/data/")
}

// page answers with a body of JSON.
func page(r *http.Request, status int, body string) *http.Response {
	return &http.Response{
		Request: r, StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)),
	}
}

// A proxy that gets no answer, and sends the write again after a while, gets a mismatch
// for what was applied. By then others may have written so often that nothing tells any
// more: that is no conflict.
func TestAProxyThatSendsAWriteAgainAfterAWhile(t *testing.T) {
	for others, want := range map[int]error{0: nil, 1: nil, 16: nil, 17: driver.ErrOutcomeUnknown} {
		both(t, fmt.Sprint(others, " others write meanwhile"), func(t *testing.T, s *service, _ *vaultstore.Driver, value []byte, prev driver.Revision) {
			var sent atomic.Bool
			d := s.behind(t, roundTrip(func(r *http.Request) (*http.Response, error) {
				if !writes(r) || sent.Swap(true) {
					return s.transport.RoundTrip(r)
				}
				body, _ := r.GetBody()
				first := r.Clone(t.Context()) // the client does not see it
				first.Body = body
				if resp, err := s.transport.RoundTrip(first); err == nil {
					resp.Body.Close()
				}
				pile(t, s.driver(t, nil), "a", others)
				pass(2 * time.Second)
				return s.transport.RoundTrip(r)
			}))
			rev, err := d.Put(t.Context(), "a", value, prev)
			if !errors.Is(err, want) || want == nil && err != nil {
				t.Fatalf("the write is at %q (%v), want %v", rev, err, want)
			}
			silent(t, err)
		})
	}
}

// A standby that passed a write on, and was not answered, redirects the client to the
// active node. What that one says of its own state says nothing of the write; what it says
// of the token or the request was said to the first one too.
func TestAWriteThatWasPassedOnAndRedirected(t *testing.T) {
	for _, c := range []struct {
		what string
		says vaultstoretest.Action
		ends bool // the trouble does
		want error
	}{
		{"is sealed for a while", vaultstoretest.FailBefore(503, saysSealed), true, nil},
		{"has a quota for a while", vaultstoretest.Throttle(), true, nil},
		{"is sealed for good", vaultstoretest.FailBefore(503, saysSealed), false, driver.ErrOutcomeUnknown},
		{"has a quota for good", vaultstoretest.Throttle(), false, driver.ErrOutcomeUnknown},
	} {
		both(t, "to a node that "+c.what, func(t *testing.T, s *service, _ *vaultstore.Driver, value []byte, prev driver.Revision) {
			d := s.standby(t)
			rev := get(t, d, "warm").Revision // so that the mount is known
			if rev == driver.Absent {
				t.Fatal("the service is not warm")
			}
			s.fault(1, vaultstoretest.RedirectAfter(), "PUT data")
			n := 0
			if c.ends {
				n = 5
			}
			s.fault(n, c.says)
			began := time.Now()
			rev, err := d.Put(t.Context(), "a", value, prev)
			if !errors.Is(err, c.want) || c.want == nil && err != nil {
				t.Fatalf("the write is at %q (%v), want %v", rev, err, c.want)
			}
			if took := time.Since(began); took > 40*time.Second {
				t.Errorf("it took %v", took)
			}
			if held, _ := s.holds("a"); held != string(value) {
				t.Error("it was not applied")
			}
			silent(t, err)
		})
	}
	both(t, "to a node that refuses the token", func(t *testing.T, s *service, _ *vaultstore.Driver, value []byte, prev driver.Revision) {
		d := s.standby(t)
		get(t, d, "warm")
		s.ResetCalls()
		s.fault(1, vaultstoretest.Redirect(), "PUT data")
		s.fault(0, vaultstoretest.FailBefore(403, saysDenied))
		if _, err := d.Put(t.Context(), "a", value, prev); !errors.Is(err, driver.ErrPermission) {
			t.Errorf("error %v, want %v", err, driver.ErrPermission)
		}
		if got := brief(s.called()); got != "PP" {
			t.Errorf("requests %s, want PP", got)
		}
	})
}

// A request that something sent twice is refused for what it did itself, and a node that is
// behind does not show that yet. What is refused next is not the outcome.
func TestAMismatchThatANodeThatIsBehindDoesNotExplain(t *testing.T) {
	for what, refusal := range map[string]vaultstoretest.Action{
		"and the right to write is gone": vaultstoretest.FailBefore(403, saysDenied), "and the node says so": vaultstoretest.FailBefore(412, saysState),
		"and nothing else": vaultstoretest.FailBefore(400, saysMismatch),
	} {
		bubble(t, func(t *testing.T, s *service) {
			d := s.warm(t)
			value := first(t)
			rev := put(t, d, "a", value, driver.Absent)
			s.SetTimeLag(time.Second)
			s.SetState(vaultstoretest.PerformanceStandby)
			pass(2 * time.Second) // it has seen this
			s.fault(1, vaultstoretest.Duplicate(), "PUT data")
			s.fault(0, refusal, "PUT data")
			value = after(t, value)
			began := time.Now()
			rev, err := d.Put(t.Context(), "a", value, rev)
			if err != nil {
				t.Fatalf("%s: error %v, though it was written", what, err)
			}
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("%s: it took %v", what, took)
			}
			s.Settle()
			s.stands(t, "a", value, rev)
		}, vaultstoretest.WithEnterprise())
	}
}

// standby returns a driver whose redirected requests go to another address, which is of the
// same service.
func (s *service) standby(t testing.TB) *vaultstore.Driver {
	t.Helper()
	return s.behind(t, roundTrip(func(r *http.Request) (*http.Response, error) {
		resp, err := s.transport.RoundTrip(r)
		if err == nil && resp.StatusCode == http.StatusTemporaryRedirect {
			to, bad := url.Parse(resp.Header.Get("Location"))
			if bad != nil {
				return nil, bad
			}
			to.Host = "active." + to.Host
			resp.Header.Set("Location", to.String())
		}
		return resp, err
	}))
}

// Gateways answer 404 in JSON for what they do not know. That is not what Vault says of
// what is not there, and is taken for no absence.
func TestA404ThatIsNoneOfVaults(t *testing.T) {
	for body, want := range map[string]error{
		`{}`: driver.ErrUnavailable, `{"message":"no route"}`: driver.ErrUnavailable, `{"errors":null}`: driver.ErrUnavailable,
		`{"errors":["not found"]}`: driver.ErrInvalid, `{"errors":["1 error occurred:\n\t* unsupported path\n\n"]}`: driver.ErrInvalid,
	} {
		t.Run(body, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *service) {
				put(t, s.driver(t, nil), "a", first(t), driver.Absent)
				away := false
				d := s.behind(t, roundTrip(func(r *http.Request) (*http.Response, error) {
					if away {
						return page(r, http.StatusNotFound, body), nil
					}
					return s.transport.RoundTrip(r)
				}))
				get(t, d, "a")
				away = true
				for method, call := range calls(t, d) {
					if err := call(t.Context()); !errors.Is(err, want) {
						t.Errorf("%s: error %v, want %v", method, err, want)
					}
				}
			})
		})
	}
}

// Vault lists what is there, or says 404. A list of nothing is neither.
func TestAListThatNamesNothing(t *testing.T) {
	for _, body := range []string{`{}`, `{"data":null}`, `{"data":{}}`, `{"data":{"keys":null}}`} {
		bubble(t, func(t *testing.T, s *service) {
			d := s.behind(t, roundTrip(func(r *http.Request) (*http.Response, error) { return page(r, http.StatusOK, body), nil }))
			n := 0
			for _, err := range d.Names(t.Context()) {
				n++
				says(t, body, err, driver.ErrUnavailable, "the answer is none of Vault's")
			}
			if n != 1 {
				t.Errorf("%s: %d names and errors, want one error", body, n)
			}
		})
	}
}

// A wrapped answer has no value, and tells nothing of what became of a write.
func TestAnswersThatAreWrapped(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		controlled := false
		d := s.behind(t, roundTrip(func(r *http.Request) (*http.Response, error) {
			if h := r.Header.Get("X-Vault-Wrap-Ttl"); h != "" {
				t.Errorf("an answer is asked for that is wrapped for %s", h)
			}
			if controlled {
				return page(r, http.StatusOK, `{"data":null,"wrap_info":{"token":"hvs.`+canary+`","ttl":60}}`), nil
			}
			return s.transport.RoundTrip(r)
		}))
		rev := put(t, d, "a", first(t), driver.Absent)
		controlled = true
		_, err := d.Get(t.Context(), driver.Any, driver.Item{Name: "a"})
		says(t, "Get", err, driver.ErrInvalid, "the answer is wrapped")
		_, err = d.Put(t.Context(), "a", first(t), rev)
		says(t, "Put", err, driver.ErrOutcomeUnknown, "the answer is wrapped")
	})
}

// A client or an environment that asks for wrapped answers does not get them here.
func TestTheEnvironmentThatAsksForWrappedAnswers(t *testing.T) {
	t.Setenv("VAULT_WRAP_TTL", "60s")
	bubble(t, func(t *testing.T, s *service) {
		asked := 0
		d := s.behind(t, roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.Header.Get("X-Vault-Wrap-Ttl") != "" {
				asked++
			}
			return s.transport.RoundTrip(r)
		}))
		pile(t, d, "a", 2)
		if asked > 0 {
			t.Errorf("%d requests ask for it", asked)
		}
	})
}

// A mount that was replaced by one of version 1 takes what it gets, and answers nothing.
func TestAMountThatBecomesOneOfVersion1(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		replaced := false
		d := s.behind(t, roundTrip(func(r *http.Request) (*http.Response, error) {
			if replaced {
				return page(r, http.StatusNoContent, ""), nil
			}
			return s.transport.RoundTrip(r)
		}))
		rev := put(t, d, "a", first(t), driver.Absent)
		replaced = true
		began := time.Now()
		_, err := d.Put(t.Context(), "a", first(t), rev)
		says(t, "Put", err, driver.ErrOutcomeUnknown, "vault kv enable-versioning")
		if took := time.Since(began); took > 0 {
			t.Errorf("it took %v", took)
		}
	})
}
