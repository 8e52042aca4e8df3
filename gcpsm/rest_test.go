package gcpsm_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	secretmanager "cloud.google.com/go/secretmanager/apiv1"
	secretmanagerpb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"github.com/googleapis/gax-go/v2"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/tokenkeep/tokenkeep/gcpsm"
	"github.com/tokenkeep/tokenkeep/gcpsm/gcpsmtest"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/token/drivertest"
)

// A front serves the REST API of Secret Manager from the double's gRPC: the requests that
// the driver makes.
type front struct {
	next *secretmanager.Client
}

func (f front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	out, err := f.serve(r)
	switch {
	case err != nil && status.Code(err) == codes.Unavailable && !strings.Contains(err.Error(), "cannot serve"):
		panic(http.ErrAbortHandler) // the double cut its connection: so does the front
	case err != nil:
		refuse(w, status.Convert(err))
		return
	}
	body, err := protojson.MarshalOptions{UseEnumNumbers: true}.Marshal(out)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body)
}

// refuse answers an error as Google's front ends do.
//
// https://google.aip.dev/193
func refuse(w http.ResponseWriter, s *status.Status) {
	httpStatus, ok := map[codes.Code]int{
		codes.InvalidArgument: 400, codes.FailedPrecondition: 400, codes.OutOfRange: 400, codes.Unauthenticated: 401,
		codes.PermissionDenied: 403, codes.NotFound: 404, codes.AlreadyExists: 409, codes.Aborted: 409,
		codes.ResourceExhausted: 429, codes.Canceled: 499, codes.Unimplemented: 501, codes.Unavailable: 503, codes.DeadlineExceeded: 504,
	}[s.Code()]
	if !ok {
		httpStatus = 500
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(httpStatus)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"error": map[string]any{"code": httpStatus, "message": s.Message(), "status": codeNames[s.Code()]},
	})
}

// codeNames are the codes as they stand in the bodies of errors.
var codeNames = map[codes.Code]string{
	codes.Canceled: "CANCELLED", codes.Unknown: "UNKNOWN", codes.InvalidArgument: "INVALID_ARGUMENT",
	codes.DeadlineExceeded: "DEADLINE_EXCEEDED", codes.NotFound: "NOT_FOUND", codes.AlreadyExists: "ALREADY_EXISTS",
	codes.PermissionDenied: "PERMISSION_DENIED", codes.ResourceExhausted: "RESOURCE_EXHAUSTED",
	codes.FailedPrecondition: "FAILED_PRECONDITION", codes.Aborted: "ABORTED", codes.OutOfRange: "OUT_OF_RANGE",
	codes.Unimplemented: "UNIMPLEMENTED", codes.Internal: "INTERNAL", codes.Unavailable: "UNAVAILABLE",
	codes.DataLoss: "DATA_LOSS", codes.Unauthenticated: "UNAUTHENTICATED",
}

// once keeps the client of the front from repeating anything.
var once = gax.WithRetry(func() gax.Retryer { return nil })

// serve answers a request of the REST API.
//
// https://docs.cloud.google.com/secret-manager/docs/reference/rest
func (f front) serve(r *http.Request) (proto.Message, error) {
	ctx, query := r.Context(), r.URL.Query()
	name, verb, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v1/"), ":")
	parent, last := path.Split(name)
	parent = strings.TrimSuffix(parent, "/")
	if last != "secrets" && last != "versions" {
		parent, last = name, path.Base(parent)+"/*"
	}
	size, _ := strconv.Atoi(query.Get("pageSize"))
	switch strings.TrimSpace(r.Method + " " + last + " " + verb) {
	case "POST secrets":
		in := &secretmanagerpb.CreateSecretRequest{Parent: parent, SecretId: query.Get("secretId"), Secret: &secretmanagerpb.Secret{}}
		if err := read(r, in.GetSecret()); err != nil {
			return nil, err
		}
		return f.next.CreateSecret(ctx, in, once)
	case "GET secrets":
		out := &secretmanagerpb.ListSecretsResponse{}
		list := f.next.ListSecrets(ctx, &secretmanagerpb.ListSecretsRequest{Parent: parent, Filter: query.Get("filter")}, once)
		var err error
		out.NextPageToken, err = iterator.NewPager(list, max(size, 1), query.Get("pageToken")).NextPage(&out.Secrets)
		return out, err
	case "GET versions":
		out := &secretmanagerpb.ListSecretVersionsResponse{}
		list := f.next.ListSecretVersions(ctx, &secretmanagerpb.ListSecretVersionsRequest{Parent: parent, Filter: query.Get("filter")}, once)
		var err error
		out.NextPageToken, err = iterator.NewPager(list, max(size, 1), query.Get("pageToken")).NextPage(&out.Versions)
		return out, err
	case "POST secrets/* addVersion":
		in := &secretmanagerpb.AddSecretVersionRequest{}
		if err := read(r, in); err != nil {
			return nil, err
		}
		in.Parent = name
		return f.next.AddSecretVersion(ctx, in, once)
	case "DELETE secrets/*":
		return &emptypb.Empty{}, f.next.DeleteSecret(ctx, &secretmanagerpb.DeleteSecretRequest{Name: name}, once)
	case "GET versions/*":
		return f.next.GetSecretVersion(ctx, &secretmanagerpb.GetSecretVersionRequest{Name: name}, once)
	case "GET versions/* access":
		return f.next.AccessSecretVersion(ctx, &secretmanagerpb.AccessSecretVersionRequest{Name: name}, once)
	case "POST versions/* destroy":
		return f.next.DestroySecretVersion(ctx, &secretmanagerpb.DestroySecretVersionRequest{Name: name}, once)
	}
	return nil, status.Errorf(codes.Unimplemented, "cannot serve %s %s", r.Method, r.URL.Path)
}

func read(r *http.Request, into proto.Message) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	return protojson.Unmarshal(body, into)
}

// rest returns a REST client of the service, over a front of its own.
func (s *service) rest(t testing.TB, wrap ...func(http.Handler) http.Handler) *secretmanager.Client {
	t.Helper()
	var handler http.Handler = front{s.sdk(t)}
	for _, w := range wrap {
		handler = w(handler)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	t.Cleanup(s.Close) // first: it lets go of what it holds
	return restClient(t, server)
}

func restClient(t testing.TB, server *httptest.Server) *secretmanager.Client {
	t.Helper()
	client, err := secretmanager.NewRESTClient(t.Context(), option.WithEndpoint(server.URL), option.WithHTTPClient(server.Client()))
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// The suite, by HTTP: Options and errors are those of the same service.
func TestDriverByHTTP(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	members := map[driver.Driver]member{}
	of := func(d driver.Driver) member {
		mu.Lock()
		defer mu.Unlock()
		return members[d]
	}
	join := func(t *testing.T, m member) driver.Driver {
		d, err := gcpsm.NewDriver(m.service.rest(t), parent, m.prefix, unpaced())
		if err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		defer mu.Unlock()
		members[d] = m
		return d
	}
	drivertest.Suite{
		New: func(t *testing.T) driver.Driver { return join(t, member{start(t), "p", &faults{}}) },
		Other: func(t *testing.T, d driver.Driver, suffix string) driver.Driver {
			m := of(d)
			m.prefix += suffix
			return join(t, m)
		},
		Settle: func(_ *testing.T, d driver.Driver) { of(d).service.clock.Advance(time.Minute) },
		LoseAnswers: func(_ *testing.T, d driver.Driver, n int) {
			m := of(d)
			m.faults.order(m.service, &m.faults.lose, n, gcpsmtest.LoseAnswer(), "CreateSecret", "AddSecretVersion", "DeleteSecret")
		},
		FailRequests: func(_ *testing.T, d driver.Driver, n int) {
			m := of(d)
			m.faults.order(m.service, &m.faults.fail, n, gcpsmtest.EchoBody(codes.Unavailable))
		},
		Deny: func(_ *testing.T, d driver.Driver, denied bool) { of(d).service.denied.Store(denied) },
		Damage: func(t *testing.T, d driver.Driver, name string) {
			if _, err := of(d).service.SetValue(secretOf(of(d).prefix, name), "\xff\xfe"); err != nil {
				t.Fatal(err)
			}
		},
		HoldWrite: func(t *testing.T, d driver.Driver) (<-chan struct{}, func()) {
			s := of(d).service
			free, held := make(chan struct{}), make(chan struct{})
			hold := s.fault(1, gcpsmtest.Hold(free), "AddSecretVersion")
			go func() {
				if hold.Await(t.Context(), 1) == nil {
					close(held)
				}
			}()
			return held, func() {
				close(free)
				s.Settle()
			}
		},
	}.Run(t)
}

// A store by HTTP: records, index, and seventeen versions of one secret.
func TestAStoreByHTTP(t *testing.T) {
	s := start(t)
	store, err := gcpsm.New(s.rest(t), parent, prefix, unpaced())
	if err != nil {
		t.Fatal(err)
	}
	saved := &token.OAuthToken{UserSignature: token.UserSignature{Name: "ana"}, RefreshToken: token.NewSecret("refresh")}
	for n := range 17 {
		saved.AccessToken = token.NewSecret(strconv.Itoa(n))
		if err := store.SaveToken(t.Context(), saved); err != nil {
			t.Fatal(err)
		}
	}
	other, err := gcpsm.New(s.sdk(t), parent, prefix, nil) // by gRPC
	if err != nil {
		t.Fatal(err)
	}
	found, err := other.FindToken(t.Context(), &token.OAuthToken{UserSignature: saved.UserSignature})
	if err != nil || found.AccessToken.Reveal() != "16" {
		t.Errorf("access token %v, error %v", found.AccessToken, err)
	}
	if got := s.CountCalls()["ListSecretVersions"]; got != 1 {
		t.Errorf("%d lists of versions, want the one of version 16", got)
	}
	if got := s.Active(secretOf(prefix, "token-"+saved.ID)); got != 1 {
		t.Errorf("%d versions are charged for", got)
	}
}

// What an answer by HTTP means: of the service, by the status in its body; of what stands
// between, by its HTTP status.
func TestErrorsByHTTP(t *testing.T) {
	type answer struct {
		status int
		body   string
	}
	google := func(httpStatus int, code string) answer {
		return answer{httpStatus, `{"error":{"code":` + strconv.Itoa(httpStatus) + `,"message":"you sent ` + canary + `","status":"` + code + `"}}`}
	}
	page := func(httpStatus int) answer { return answer{httpStatus, "<html>you sent " + canary} }
	for _, c := range []struct {
		what string
		answer
		kind error
		code string
		hint string
	}{
		{"INVALID_ARGUMENT", google(400, "INVALID_ARGUMENT"), driver.ErrInvalid, "InvalidArgument", tellsOfArguments},
		{"FAILED_PRECONDITION", google(400, "FAILED_PRECONDITION"), driver.ErrPermission, "FailedPrecondition", tellsOfState},
		{"OUT_OF_RANGE", google(400, "OUT_OF_RANGE"), driver.ErrInvalid, "OutOfRange", tellsOfArguments},
		{"UNAUTHENTICATED", google(401, "UNAUTHENTICATED"), driver.ErrPermission, "Unauthenticated", tellsOfCredentials},
		{"PERMISSION_DENIED", google(403, "PERMISSION_DENIED"), driver.ErrPermission, "PermissionDenied", tellsOfRole},
		{"NOT_FOUND", google(404, "NOT_FOUND"), driver.ErrInvalid, "NotFound", tellsOfParent},
		{"ABORTED", google(409, "ABORTED"), driver.ErrUnavailable, "Aborted", ""},
		{"UNIMPLEMENTED", google(501, "UNIMPLEMENTED"), driver.ErrInvalid, "Unimplemented", tellsOfArguments},
		{"INTERNAL", google(500, "INTERNAL"), driver.ErrUnavailable, "Internal", ""},
		{"UNAVAILABLE", google(503, "UNAVAILABLE"), driver.ErrUnavailable, "Unavailable", ""},
		{"DEADLINE_EXCEEDED", google(504, "DEADLINE_EXCEEDED"), driver.ErrUnavailable, "DeadlineExceeded", ""},
		{"a status of another time", google(400, "SOMETHING_NEW"), driver.ErrUnavailable, "Unavailable", ""},
		{"a status that is no text", answer{400, `{"error":{"status":["` + canary + `"]}}`}, driver.ErrUnavailable, "Unavailable", ""},
		{"a page that asks for a login", page(401), driver.ErrPermission, "Unauthenticated", tellsOfCredentials},
		{"a page that forbids", page(403), driver.ErrPermission, "PermissionDenied", tellsOfRole},
		{"a page that knows nothing", page(404), driver.ErrUnavailable, "Unavailable", ""},
		{"a page of a bad gateway", page(502), driver.ErrUnavailable, "Unavailable", ""},
		{"an empty refusal", answer{400, ""}, driver.ErrUnavailable, "Unavailable", ""},
		{"a welcome", page(200), driver.ErrUnavailable, "", "no answer"},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			d := driverOn(t, start(t).rest(t, func(http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					w.WriteHeader(c.status)
					_, _ = io.WriteString(w, c.body)
				})
			}))
			ctx, cancel := context.WithTimeout(t.Context(), untilItEnds)
			defer cancel()
			err := calls(t, d, nil, "")["ListSecrets"](ctx)
			var e *driver.Error
			if !errors.Is(err, c.kind) || !errors.As(err, &e) || e.Op != "ListSecrets" || e.Code != c.code || !strings.Contains(e.Hint, c.hint) {
				t.Errorf("error %v, want %v, %s, %q", err, c.kind, c.code, c.hint)
			}
			var api *googleapi.Error
			if c.code != "" && (!errors.As(err, &api) || api.Body != c.body) {
				t.Errorf("the SDK's own error cannot be reached: %v", api)
			}
			silent(t, err)
		})
	}
}

// Answers that say nothing about the write: what became of it is found out.
func TestWritesAreNotTakenInByAProxy(t *testing.T) {
	for what, answer := range map[string]func(http.ResponseWriter){
		"a page that says welcome":       func(w http.ResponseWriter) { _, _ = io.WriteString(w, "<html>"+canary) },
		"an empty answer":                func(w http.ResponseWriter) { _, _ = io.WriteString(w, "{}") },
		"a page that says bad gateway":   func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) },
		"a page that says not found":     func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotFound) },
		"an internal error as a page":    func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) },
		"a connection that is cut":       func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
		"an answer that names no number": func(w http.ResponseWriter) { _, _ = io.WriteString(w, `{"name":"`+canary+`"}`) },
	} {
		for when, applied := range map[string]bool{"before": false, "after": true} {
			for _, method := range []string{"CreateSecret", "AddSecretVersion", "AccessSecretVersion"} {
				t.Run(method+", "+what+", "+when+" it is applied", func(t *testing.T) {
					t.Parallel()
					s := start(t)
					value := first(t)
					rev := put(t, s.driver(t, unpaced()), "a", value, driver.Absent)
					var done sync.Once
					d := driverOn(t, s.rest(t, func(next http.Handler) http.Handler {
						return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
							this := false
							if strings.HasSuffix(r.URL.Path, suffixes[method]) {
								done.Do(func() { this = true })
							}
							if !this {
								next.ServeHTTP(w, r)
								return
							}
							if applied {
								next.ServeHTTP(httptest.NewRecorder(), r)
							}
							answer(w)
						})
					}))
					err := calls(t, d, value, rev)[method](t.Context())
					silent(t, err)
					if err != nil && (method != "AccessSecretVersion" || !errors.Is(err, driver.ErrUnavailable)) {
						t.Fatal(err)
					}
					if got := get(t, s.driver(t, nil), "a"); (got.Revision != rev) != (method == "AddSecretVersion") {
						t.Errorf("the revision is %q, and was %q", got.Revision, rev)
					}
				})
			}
		}
	}
}

// suffixes end the paths of methods.
var suffixes = map[string]string{"CreateSecret": "/secrets", "AddSecretVersion": ":addVersion", "AccessSecretVersion": ":access"}

// untilItEnds is for how long a request is repeated that gets no answer: so long that a
// slow machine sends it once.
const untilItEnds = time.Second

// Where nobody answers, the error says so, and names no address.
func TestNobodyAnswersByHTTP(t *testing.T) {
	server := httptest.NewServer(nil)
	server.Close()
	d := driverOn(t, restClient(t, server))
	for _, method := range []string{"AccessSecretVersion", "CreateSecret", "ListSecrets"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), untilItEnds)
			defer cancel()
			err := calls(t, d, nil, "")[method](ctx)
			const want = ": service unavailable (no answer: are the client's endpoint and credentials right?)"
			if !errors.Is(err, driver.ErrUnavailable) || !strings.HasSuffix(err.Error(), want) {
				t.Errorf("error %v, want %q", err, want)
			}
		})
	}
}
