package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/awssm"
	"github.com/tokenkeep/tokenkeep/awssm/awssmtest"
	"github.com/tokenkeep/tokenkeep/examples/authserver"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/tokensource"
)

// A lambda is the runtime API of Lambda. What it is asked for is an invocation.
type lambda struct {
	*httptest.Server
	events  chan string
	answers chan string // path and body
}

func startLambda(t *testing.T) *lambda {
	t.Helper()
	r := &lambda{events: make(chan string), answers: make(chan string)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", func(w http.ResponseWriter, req *http.Request) {
		select {
		case event := <-r.events:
			w.Header().Set("Lambda-Runtime-Aws-Request-Id", "request-1")
			_, _ = io.WriteString(w, event)
		case <-req.Context().Done():
		}
	})
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/request-1/{what}", func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			t.Error(err)
		}
		w.WriteHeader(http.StatusAccepted)
		r.answers <- req.PathValue("what") + " " + string(body)
	})
	r.Server = httptest.NewServer(mux)
	t.Cleanup(r.Close)
	return r
}

// invoke returns the answer to an event.
func (l *lambda) invoke(event string) string {
	l.events <- event
	return <-l.answers
}

// An account is what a function finds: AWS with the rights of template.yaml, and an OAuth server. In the
// store there is a token of Ana's.
type account struct {
	secrets *awssmtest.Server
	oauth   *authserver.Server
	store   *token.Store
}

func startAccount(t *testing.T) *account {
	t.Helper()
	a := &account{secrets: awssmtest.NewServer(awssmtest.WithRegion("eu-central-1"), awssmtest.WithPolicy(policy(t))), oauth: authserver.New()}
	t.Cleanup(a.secrets.Close)
	t.Cleanup(a.oauth.Close)
	client, err := a.secrets.Client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if a.store, err = awssm.New(client, "prod/oauth", nil); err != nil {
		t.Fatal(err)
	}
	who := &token.OAuthToken{UserSignature: token.UserSignature{Name: "ana"}, ClientSecret: token.NewSecret(authserver.ClientSecret)}
	web, err := tokensource.New(a.store, a.oauth.Config(), who, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := web.Exchange(t.Context(), a.oauth.Approve("ana")); err != nil {
		t.Fatal(err)
	}
	none := filepath.Join(t.TempDir(), "none")
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": a.secrets.URL, "AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "example",
		"AWS_SESSION_TOKEN": "", "AWS_PROFILE": "", "AWS_CONFIG_FILE": none, "AWS_SHARED_CREDENTIALS_FILE": none,
		"TOKENS_PREFIX": "prod/oauth", "OAUTH_CLIENT_ID": authserver.ClientID, "OAUTH_TOKEN_URL": a.oauth.Config().Endpoint.TokenURL, "API_URL": a.oauth.API(),
	} {
		t.Setenv(name, value)
	}
	return a
}

// expire makes Ana's access token one that has expired.
func (a *account) expire(t *testing.T) {
	t.Helper()
	found, err := a.store.FindToken(t.Context(), &token.OAuthToken{UserSignature: token.UserSignature{Name: "ana"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.store.UpdateToken(t.Context(), found.ID, func(r *token.OAuthToken) error {
		r.Expiry = time.Now().Add(-time.Second)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// start starts instances of the function, which end with the test.
func start(t *testing.T, instances int) *lambda {
	t.Helper()
	r := startLambda(t)
	t.Setenv("AWS_LAMBDA_RUNTIME_API", strings.TrimPrefix(r.URL, "http://"))
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range instances {
		wg.Go(func() {
			if err := run(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("an instance ended: %v", err)
			}
		})
	}
	t.Cleanup(func() { cancel(); wg.Wait() })
	return r
}

const hello = `response {"answer":"hello ana"}`

func TestAnInstanceKeepsItsTokenFromOneInvocationToTheNext(t *testing.T) {
	a := startAccount(t)
	r := start(t, 1)
	for n := range 3 {
		if got := r.invoke(`{"user":"ana"}`); got != hello {
			t.Fatalf("invocation %d: %s", n+1, got)
		}
		if calls := a.secrets.CountCalls(); n > 0 && len(calls) > 0 {
			t.Errorf("invocation %d asks AWS: %v", n+1, calls)
		}
		a.secrets.ResetCalls()
	}
	if requests, _, _ := a.oauth.Count(); requests != 1 {
		t.Errorf("%d requests to the OAuth server, want that of the login", requests)
	}
}

func TestOfManyInstancesOneRefreshes(t *testing.T) {
	a := startAccount(t)
	a.expire(t)
	const instances = 5
	r := start(t, instances)
	for range instances {
		r.events <- `{"user":"ana"}`
	}
	for range instances {
		if got := <-r.answers; got != hello {
			t.Error(got)
		}
	}
	if _, spent, reused := a.oauth.Count(); spent != 1 || reused != 0 {
		t.Errorf("%d refresh tokens were spent, and %d again", spent, reused)
	}
}

func TestAnEventThatCannotBeAnsweredIsAnError(t *testing.T) {
	a := startAccount(t)
	r := start(t, 1)
	for event, want := range map[string]string{
		`{"user":"bo"}`: "no such token",
		`{"user":""}`:   "the event is not like",
		`[`:             "the event is not like",
	} {
		if got := r.invoke(event); !strings.HasPrefix(got, `error {`) || !strings.Contains(got, want) {
			t.Errorf("%s: %s", event, got)
		}
	}
	a.oauth.RevokeAccess()
	if got := r.invoke(`{"user":"ana"}`); !strings.Contains(got, "401 Unauthorized") {
		t.Errorf("the API refuses: %s", got)
	}
	a.oauth.Revoke("ana")
	a.expire(t)
	if got := start(t, 1).invoke(`{"user":"ana"}`); !strings.Contains(got, tokensource.ErrNeedsReauth.Error()) {
		t.Errorf("the user revoked the tokens: %s", got)
	}
}

// A write that AWS refuses for a while is made up for before the answer, at the latest.
func TestWhatIsNotStoredYetIsAnError(t *testing.T) {
	a := startAccount(t)
	a.expire(t)
	a.secrets.Inject(awssmtest.Fault{Operations: []string{"PutSecretValue"}, Skip: 1, Do: awssmtest.FailBefore(awssmtest.Error{Code: "AccessDeniedException", Status: http.StatusBadRequest})})
	if got := start(t, 1).invoke(`{"user":"ana"}`); !strings.HasPrefix(got, "error ") || !strings.Contains(got, tokensource.ErrNotPersisted.Error()) {
		t.Error(got)
	}
}

func TestAMissingVariableIsNamed(t *testing.T) {
	for _, name := range append(needed, "AWS_LAMBDA_RUNTIME_API") {
		t.Setenv(name, "")
	}
	t.Setenv("API_URL", "https://api.example")
	const want = "missing in the environment: TOKENS_PREFIX, OAUTH_CLIENT_ID, OAUTH_TOKEN_URL, AWS_LAMBDA_RUNTIME_API"
	if err := run(t.Context()); err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestARuntimeAPIThatRefusesEndsTheProgram(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(srv.Close)
	handle := func(context.Context, []byte) ([]byte, error) { return nil, nil }
	if err := (&runtime{srv.URL + "/"}).serve(t.Context(), handle); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("error %v", err)
	}
}
