package scale

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/tokenkeep/tokenkeep/awssm"
	"github.com/tokenkeep/tokenkeep/awssm/awssmtest"
	"github.com/tokenkeep/tokenkeep/token"
)

// An onAWS is AWS Secrets Manager with the quotas of an account: requests a second,
// versions a day, secrets in a Region. Its clients have the retries that the SDK has by
// default.
type onAWS struct {
	*awssmtest.Server
	wire *wire

	mu      sync.RWMutex
	deleted map[string]bool // marked for deletion, by name
	served  atomic.Int64
}

func newAWS(t testing.TB) service {
	s := &onAWS{deleted: map[string]bool{}}
	s.Server = awssmtest.NewHandler(awssmtest.WithRateLimits())
	t.Cleanup(s.Close)
	s.wire = &wire{serve: s.serve, label: labelAWS, tally: newTally(), instant: func() bool { return false }}
	return s
}

func (s *onAWS) name() string  { return "AWS" }
func (s *onAWS) calls() *tally { return s.wire.tally }
func (s *onAWS) forget()       { s.ResetCalls() }

func (s *onAWS) open(t testing.TB) *token.Store {
	t.Helper()
	client := secretsmanager.New(secretsmanager.Options{
		Region: "us-east-1", BaseEndpoint: aws.String("http://aws.test"), HTTPClient: s.wire,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIDSCALE", SecretAccessKey: "scale"}, nil
		}),
	})
	store, err := awssm.New(client, prefix, nil)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// serve answers a request. What is marked for deletion keeps its name and gives up its
// values: a hundred versions of each sealed leaf are more than a machine has room for.
func (s *onAWS) serve(w http.ResponseWriter, r *http.Request, body []byte) {
	operation := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "secretsmanager.")
	if s.served.Add(1)%10_000 == 0 {
		s.forget()
	}
	if operation != "DeleteSecret" {
		s.mu.RLock()
		defer s.mu.RUnlock()
		s.ServeHTTP(w, r)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := httptest.NewRecorder()
	s.ServeHTTP(out, r)
	var in struct{ SecretId string }
	if out.Code == http.StatusOK && json.Unmarshal(body, &in) == nil {
		s.deleted[in.SecretId] = true
		s.empty(in.SecretId, r, body)
	}
	maps.Copy(w.Header(), out.Header())
	w.WriteHeader(out.Code)
	_, _ = w.Write(out.Body.Bytes())
}

// empty makes a secret anew that is marked for deletion: by the same request, on one that
// holds next to nothing.
func (s *onAWS) empty(name string, r *http.Request, body []byte) {
	s.Purge(name)
	if _, err := s.SetValue(name, "{}"); err != nil {
		panic(err)
	}
	again := r.Clone(r.Context())
	again.Body = http.NoBody
	if len(body) > 0 {
		again.Body = readCloser{bytes.NewReader(body)}
	}
	out := httptest.NewRecorder()
	if s.ServeHTTP(out, again); out.Code != http.StatusOK {
		panic("a secret cannot be deleted a second time: " + out.Body.String())
	}
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

func labelAWS(r *http.Request, body []byte, status int, answer []byte) call {
	c := call{Method: strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "secretsmanager.")}
	c.Index = bytes.Contains(body, []byte(`"`+prefix+`/index`))
	c.Write = c.Method == "CreateSecret" || c.Method == "PutSecretValue"
	if status != http.StatusOK {
		var e struct {
			Type string `json:"__type"`
		}
		_ = json.Unmarshal(answer, &e)
		c.Code = e.Type[strings.LastIndexByte(e.Type, '#')+1:]
	}
	return c
}

func (s *onAWS) operator(bool) {} // put makes no calls

func (s *onAWS) put(_ context.Context, name string, value []byte) error {
	_, err := s.SetValue(prefix+"/"+name, string(value))
	return err
}

func (s *onAWS) index() (values [][]byte) {
	for _, name := range s.Names() {
		if strings.HasPrefix(name, prefix+"/index") && !s.marked(name) {
			value, _, _ := s.Value(name)
			values = append(values, []byte(value))
		}
	}
	return values
}

func (s *onAWS) marked(name string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.deleted[name]
}

func (s *onAWS) stored() (charged, pending int) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.Names()) - len(s.deleted), len(s.deleted)
}

func (s *onAWS) price() (month, calls float64) {
	charged, _ := s.stored()
	return 0.40 * float64(charged), 0.05 / 10_000 * float64(s.calls().all())
}
