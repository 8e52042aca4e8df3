package awssm_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"

	"github.com/tokenkeep/tokenkeep/awssm/awssmtest"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

// A detour is an HTTP client that answers itself where it wants to: as a proxy
// does, and, since net/http does not trace it, as a client of which one cannot know
// whether it sent anything.
type detour struct {
	next   secretsmanager.HTTPClient
	answer func(operation string, r *http.Request) (*http.Response, error) // nil, nil: pass it on
}

func (d detour) Do(r *http.Request) (*http.Response, error) {
	operation := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "secretsmanager.")
	if resp, err := d.answer(operation, r); resp != nil || err != nil {
		return resp, err
	}
	return d.next.Do(r)
}

func (d detour) install(o *secretsmanager.Options) {
	d.next = o.HTTPClient
	o.HTTPClient = d
}

func page(status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}
}

// Answers that say nothing about the write: it is sent again.
func TestWritesAreNotTakenInByAProxy(t *testing.T) {
	puts := []string{"CreateSecret", "PutSecretValue"}
	writes := []string{"CreateSecret", "PutSecretValue", "DeleteSecret"}
	for _, c := range []struct {
		what       string
		status     int
		body       string
		operations []string
	}{
		{"a page that says welcome", 200, "<html>" + canary, writes},
		{"an empty answer", 200, "{}", puts},
		{"the answer to something else", 200, `{"VersionId":"` + canary + `"}`, puts},
		{"a page that says bad gateway", 502, "<html>" + canary, writes},
		{"a request timeout", 408, "", writes},
		{"a redirect", 307, "", writes},
		{"an internal error with status 400", 400, `{"__type":"InternalServiceError"}`, writes},
		{"no answer", 0, "", writes},
	} {
		for _, operation := range c.operations {
			t.Run(operation+" "+c.what, func(t *testing.T) {
				s := start(t)
				value := first(t)
				rev := put(t, s.driver(t, nil), "a", value, driver.Absent)
				s.ResetCalls()
				var answered atomic.Bool
				d := s.driver(t, nil, detour{answer: func(op string, _ *http.Request) (*http.Response, error) {
					switch {
					case op != operation || answered.Swap(true):
						return nil, nil
					case c.status == 0:
						return nil, errors.New("broken pipe")
					}
					return page(c.status, c.body), nil
				}}.install, func(o *secretsmanager.Options) { o.Retryer = aws.NopRetryer{} })
				if err := calls(t, d, value, rev)[operation](t.Context()); err != nil {
					t.Fatal(err)
				}
				if got := s.CountCalls()[operation]; got != 1 {
					t.Errorf("%d requests reach the service, want 1", got)
				}
			})
		}
	}
}

// A page that refuses is no answer of the service, but nothing went past it.
func TestARefusalOfAProxyIsUnavailable(t *testing.T) {
	s := start(t)
	value := first(t)
	rev := put(t, s.driver(t, nil), "a", value, driver.Absent)
	s.ResetCalls()
	d := s.driver(t, nil, detour{answer: func(string, *http.Request) (*http.Response, error) {
		return page(403, "<html>"+canary), nil
	}}.install)
	for operation, call := range calls(t, d, value, rev) {
		err := call(t.Context())
		var e *driver.Error
		if !errors.Is(err, driver.ErrUnavailable) || !errors.As(err, &e) || e.Code != "HTTP 403" {
			t.Errorf("%s: error %v, want %v with HTTP 403", operation, err, driver.ErrUnavailable)
		}
		silent(t, err)
	}
	if got := s.called(); len(got) != 0 {
		t.Errorf("requests %v, want none", got)
	}
}

// Where nothing was sent, a write is known not to be applied.
func TestWhatWasNotSentIsUnavailable(t *testing.T) {
	for what, change := range map[string]func(*secretsmanager.Options){
		"no connection": func(o *secretsmanager.Options) {
			o.HTTPClient = &http.Client{Transport: &http.Transport{
				DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no route") },
			}}
		},
		"no credentials": func(o *secretsmanager.Options) {
			o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{}, errors.New("no role")
			})
		},
		// Single sign-on says this when a session has ended. It is not about a secret.
		"the credentials are not found": func(o *secretsmanager.Options) {
			o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{}, &smithy.OperationError{ServiceID: "SSO", OperationName: "GetRoleCredentials",
					Err: &smithy.GenericAPIError{Code: "ResourceNotFoundException", Message: "Session not found"}}
			})
		},
	} {
		t.Run(what, func(t *testing.T) {
			s := start(t)
			value := first(t)
			rev := put(t, s.driver(t, nil), "a", value, driver.Absent)
			s.ResetCalls()
			for operation, call := range calls(t, s.driver(t, nil, change), value, rev) {
				err := call(t.Context())
				if !errors.Is(err, driver.ErrUnavailable) || errors.Is(err, driver.ErrOutcomeUnknown) {
					t.Errorf("%s: error %v, want %v", operation, err, driver.ErrUnavailable)
				}
			}
			if got := s.called(); len(got) != 0 {
				t.Errorf("requests %v, want none", got)
			}
		})
	}
}

// What a batch says of a secret that it could not read, or does not say.
func TestBatchesThatSayTooLittle(t *testing.T) {
	for what, body := range map[string]string{
		"nothing":                 `{}`,
		"a failure of one secret": `{"Errors":[{"SecretId":"app/oauth/a","ErrorCode":"InternalServiceError","Message":"busy"}]}`,
		"another secret":          `{"SecretValues":[{"Name":"app/oauth/z","VersionId":"x","SecretString":"{}"}],"Errors":[{"SecretId":"app/oauth/y"}]}`,
	} {
		t.Run(what, func(t *testing.T) {
			s := start(t)
			d := s.driver(t, nil, detour{answer: func(op string, _ *http.Request) (*http.Response, error) {
				if op == "BatchGetSecretValue" {
					return page(200, body), nil
				}
				return nil, nil
			}}.install)
			value := first(t)
			rev := put(t, d, "a", value, driver.Absent)
			items, err := d.Get(t.Context(), driver.Any, driver.Item{Name: "a"}, driver.Item{Name: "none"})
			if err != nil {
				t.Fatal(err)
			}
			if items[0].Revision != rev || string(items[0].Value) != string(value) || items[1].Revision != driver.Absent || items[1].Err != nil {
				t.Errorf("items %v, %v", items[0].Err, items[1])
			}
			s.fault(0, awssmtest.FailBefore(trouble), "GetSecretValue")
			if _, err := d.Get(t.Context(), driver.Any, driver.Item{Name: "a"}, driver.Item{Name: "none"}); !errors.Is(err, driver.ErrUnavailable) {
				t.Errorf("error %v, want %v", err, driver.ErrUnavailable)
			}
		})
	}
}

// A batch may name a secret that it could not read by its ARN.
func TestBatchesThatSpeakInARNs(t *testing.T) {
	s := start(t)
	d := s.driver(t, nil, detour{answer: func(op string, _ *http.Request) (*http.Response, error) {
		if op == "BatchGetSecretValue" {
			return page(200, `{"Errors":[
				{"SecretId":"arn:aws:secretsmanager:us-east-1:123456789012:secret:app/oauth/a-b-AbCdEf","ErrorCode":"DecryptionFailure"},
				{"SecretId":"app/oauth/none","ErrorCode":"ResourceNotFoundException","Message":"Secrets Manager can't find the specified secret."}]}`), nil
		}
		return nil, nil
	}}.install)
	items, err := d.Get(t.Context(), driver.Any, driver.Item{Name: "a-b"}, driver.Item{Name: "none"})
	if err != nil || !errors.Is(items[0].Err, driver.ErrPermission) || items[1].Err != nil {
		t.Errorf("items %v, error %v", items, err)
	}
	if got := s.called(); len(got) != 0 {
		t.Errorf("requests %v, want none", got)
	}
}
