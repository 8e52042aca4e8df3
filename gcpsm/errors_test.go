package gcpsm_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"strings"
	"sync/atomic"
	"testing"

	secretmanager "cloud.google.com/go/secretmanager/apiv1"
	secretmanagerpb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"github.com/googleapis/gax-go/v2/apierror"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/tokenkeep/tokenkeep/gcpsm"
	"github.com/tokenkeep/tokenkeep/gcpsm/gcpsmtest"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

// silent makes sure that an error does not tell the value, however it is printed.
func silent(t testing.TB, err error) {
	t.Helper()
	if err == nil {
		return
	}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%q", "%s"} {
		fmt.Fprintf(&out, verb, err)
	}
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).ErrorContext(t.Context(), "failed", slog.Any("err", err))
	}
	if strings.Contains(out.String(), canary) {
		t.Errorf("the error carries the value: %s", out.String())
	}
}

// calls are all calls of a driver that ask the service, by what they ask it first or
// for, and the error of an item if there is one. The secret a exists at rev.
func calls(t *testing.T, d driver.Driver, value []byte, rev driver.Revision) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"AccessSecretVersion": func(ctx context.Context) error {
			items, err := d.Get(ctx, driver.Any, driver.Item{Name: "a"})
			for _, item := range items {
				err = errors.Join(err, item.Err)
			}
			return err
		},
		"AddSecretVersion": func(ctx context.Context) error {
			_, err := d.Put(ctx, "a", after(t, value), rev)
			return err
		},
		"CreateSecret": func(ctx context.Context) error {
			_, err := d.Put(ctx, "new", first(t), driver.Absent)
			return err
		},
		"DeleteSecret": func(ctx context.Context) error { return d.Delete(ctx, "a") },
		"ListSecrets": func(ctx context.Context) error {
			for _, err := range d.Names(ctx) {
				return err
			}
			return nil
		},
	}
}

// answered returns a client that calls then when the nth answer to a method has arrived,
// before anybody looks at it.
func (s *service) answered(t testing.TB, n int32, method string, then func()) *secretmanager.Client {
	t.Helper()
	var answers atomic.Int32
	watch := func(ctx context.Context, full string, in, out any, c *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		err := invoke(ctx, full, in, out, c, opts...)
		if path.Base(full) == method && answers.Add(1) == n {
			then()
		}
		return err
	}
	client, err := s.Client(t.Context(), option.WithGRPCDialOption(grpc.WithChainUnaryInterceptor(watch)))
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// driverOn returns a driver without quotas on a client.
func driverOn(t testing.TB, client *secretmanager.Client) *gcpsm.Driver {
	t.Helper()
	d, err := gcpsm.NewDriver(client, parent, prefix, unpaced())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// A verdict is what becomes of a code of the service.
type verdict struct {
	kind error
	hint string // a part of it; none: there is no hint
	// again: the call is repeated.
	again bool
	// open: it may have been applied all the same.
	open bool
}

// Parts of the hints.
const (
	tellsOfRole        = "docs/gcp.md has the least role"
	tellsOfCredentials = "the Google credentials are missing, wrong or expired"
	tellsOfArguments   = "check the parent, Options and the client's endpoint"
	tellsOfParent      = "there is no such project or location"
	tellsOfState       = "a KMS key that is disabled or may not be used, or a policy of the organization"
	tellsOfQuota       = "the quotas of the project or of one secret; Options.Pace"
)

var (
	trouble   = verdict{kind: driver.ErrUnavailable, again: true, open: true}
	arguments = verdict{kind: driver.ErrInvalid, hint: tellsOfArguments}
)

// verdicts are those of all codes, by method; "" is for the others.
var verdicts = map[codes.Code]map[string]verdict{
	codes.Canceled:           {"": trouble},
	codes.Unknown:            {"": trouble},
	codes.DeadlineExceeded:   {"": trouble},
	codes.Aborted:            {"": trouble},
	codes.Internal:           {"": trouble},
	codes.Unavailable:        {"": trouble},
	codes.DataLoss:           {"": trouble},
	codes.InvalidArgument:    {"": arguments},
	codes.OutOfRange:         {"": arguments},
	codes.Unimplemented:      {"": arguments},
	codes.PermissionDenied:   {"": {kind: driver.ErrPermission, hint: tellsOfRole}},
	codes.Unauthenticated:    {"": {kind: driver.ErrPermission, hint: tellsOfCredentials}},
	codes.FailedPrecondition: {"": {kind: driver.ErrPermission, hint: tellsOfState}},
	codes.ResourceExhausted:  {"": {kind: driver.ErrQuota, hint: tellsOfQuota, again: true}},
	codes.AlreadyExists:      {"": {kind: driver.ErrUnavailable, again: true}}, // it makes no sense there
	codes.NotFound: {
		"AccessSecretVersion": {again: true}, // other numbers are asked for
		"DeleteSecret":        {},
		"AddSecretVersion":    {kind: driver.ErrConflict},
		"CreateSecret":        {kind: driver.ErrInvalid, hint: tellsOfParent},
		"ListSecrets":         {kind: driver.ErrInvalid, hint: tellsOfParent},
	},
}

// Each code that gRPC knows, in the answer to each call, with the value in its message.
func TestErrorCodes(t *testing.T) {
	for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
		for method := range calls(t, nil, nil, "") {
			if code == codes.AlreadyExists && method == "CreateSecret" {
				continue // TestASecretWithoutAVersion
			}
			v, named := verdicts[code][method]
			if !named {
				v = verdicts[code][""]
			}
			t.Run(code.String()+" of "+method, func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T, s *service) { testErrorCode(t, s, code, method, v) })
			})
		}
	}
}

func testErrorCode(t *testing.T, s *service, code codes.Code, method string, v verdict) {
	d := s.driver(t, unpaced())
	value := first(t)
	rev := put(t, d, "a", value, driver.Absent)
	fault := s.fault(0, gcpsmtest.FailBefore(code, "you sent "+canary), method)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	endless := code == codes.ResourceExhausted || v.open && method == "AddSecretVersion"
	if endless { // it does not give up by itself
		d = driverOn(t, s.answered(t, 2, method, cancel))
	}
	err := calls(t, d, value, rev)[method](ctx)
	silent(t, err)

	want := v.kind
	if v.open && (method == "AddSecretVersion" || method == "DeleteSecret") {
		want = driver.ErrOutcomeUnknown
	}
	if endless && method == "ListSecrets" {
		want = context.Canceled // it does not wait for the answer
	}
	if !errors.Is(err, want) || errors.Is(err, driver.ErrUnavailable) && errors.Is(err, driver.ErrOutcomeUnknown) {
		t.Errorf("error %v, want %v", err, want)
	}
	if endless && !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v too", err, context.Canceled)
	}
	if tried := fault.Fired(); v.again != (tried > 1) {
		t.Errorf("it was tried %d times", tried)
	}
	if want == nil {
		return
	}
	if endless && (code == codes.Canceled || code == codes.DeadlineExceeded || method == "ListSecrets") {
		return // it is taken for the context's
	}
	var e *driver.Error
	if !errors.As(err, &e) || e.Op != method || e.Code != code.String() || !strings.Contains(e.Hint, v.hint) {
		t.Errorf("the error does not name %s, %v and %q: %v", method, code, v.hint, err)
	}
	var api *apierror.APIError
	if !errors.As(err, &api) || api.GRPCStatus().Code() != code || !strings.Contains(api.GRPCStatus().Message(), canary) {
		t.Errorf("the SDK's own error, with the message of the service, cannot be reached: %v", api)
	}
}

func TestErrorsNameTheSecretWithoutItsPrefix(t *testing.T) {
	s := start(t)
	d := s.driver(t, nil)
	s.denied.Store(true)
	_, err := d.Get(t.Context(), driver.Any, driver.Item{Name: "a"})
	const want = "AccessSecretVersion a: PermissionDenied: permission denied (docs/gcp.md has the least role; " +
		"the service also says so of a secret that does not exist, unless the role is granted for the project)"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %v", err, want)
	}
}

// A role that is granted on single secrets hides absence: that is no absence.
func TestARefusalIsNoAbsence(t *testing.T) {
	s := start(t, gcpsmtest.WithGrantsOnSecrets())
	d := s.driver(t, nil)
	if _, err := d.Get(t.Context(), driver.Any, driver.Item{Name: "none"}); !errors.Is(err, driver.ErrPermission) {
		t.Errorf("Get: error %v, want %v", err, driver.ErrPermission)
	}
	items, err := d.Get(t.Context(), driver.Any, driver.Item{Name: "none"}, driver.Item{Name: "none-2"})
	if err != nil || !errors.Is(items[0].Err, driver.ErrPermission) || !errors.Is(items[1].Err, driver.ErrPermission) {
		t.Errorf("Get of two: items %v, error %v, want %v of each", items, err, driver.ErrPermission)
	}
	if err := d.Delete(t.Context(), "none"); !errors.Is(err, driver.ErrPermission) {
		t.Errorf("Delete: error %v, want %v", err, driver.ErrPermission)
	}
}

// Somebody created the secret, and has not added a version.
func TestASecretWithoutAVersion(t *testing.T) {
	s := start(t)
	d := s.driver(t, unpaced())
	// The process dies before its version is added.
	ctx, cancel := context.WithCancel(t.Context())
	died := s.fault(1, gcpsmtest.Hang(), "AddSecretVersion")
	go func() {
		_ = died.Await(ctx, 1)
		cancel()
	}()
	if _, err := d.Put(ctx, "a", first(t), driver.Absent); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want %v", err, context.Canceled)
	}
	died.Remove()
	other := s.driver(t, unpaced())
	if got := get(t, other, "a"); got.Revision != driver.Absent || got.Err != nil {
		t.Errorf("a secret without a version is at %q, error %v", got.Revision, got.Err)
	}
	value := first(t)
	rev := put(t, other, "a", value, driver.Absent)
	if got := get(t, other, "a"); got.Revision != rev || string(got.Value) != string(value) {
		t.Errorf("revision %q, want %q", got.Revision, rev)
	}
}

// What a version says of itself is no error of the call: the secret is corrupt if that
// version is the newest.
func TestVersionsThatCannotBeRead(t *testing.T) {
	number := func(n int) string { return fmt.Sprint(secretOf(prefix, "a"), "/versions/", n) }
	for what, c := range map[string]struct {
		do   func(t *testing.T, c *secretmanager.Client) error
		hint string
	}{
		"disabled": {func(t *testing.T, c *secretmanager.Client) error {
			_, err := c.DisableSecretVersion(t.Context(), &secretmanagerpb.DisableSecretVersionRequest{Name: number(1)})
			return err
		}, "version 1 is disabled: enable it"},
		"destroyed": {func(t *testing.T, c *secretmanager.Client) error {
			_, err := c.DestroySecretVersion(t.Context(), &secretmanagerpb.DestroySecretVersionRequest{Name: number(1)})
			return err
		}, "version 1 is destroyed, which only a newer one may cause"},
		"added by hand": {func(t *testing.T, c *secretmanager.Client) error {
			_, err := c.AddSecretVersion(t.Context(), &secretmanagerpb.AddSecretVersionRequest{
				Parent: secretOf(prefix, "a"), Payload: &secretmanagerpb.SecretPayload{Data: []byte(canary)},
			})
			return err
		}, "version 2 was not written by tokenkeep"},
	} {
		t.Run(what, func(t *testing.T) {
			s := start(t)
			put(t, s.driver(t, nil), "a", first(t), driver.Absent)
			if err := c.do(t, s.sdk(t)); err != nil {
				t.Fatal(err)
			}
			item := get(t, s.driver(t, nil), "a")
			if !errors.Is(item.Err, driver.ErrCorrupt) || !strings.Contains(item.Err.Error(), c.hint) || item.Value != nil || item.Revision != "" {
				t.Errorf("error %v, want %v with %q", item.Err, driver.ErrCorrupt, c.hint)
			}
			silent(t, item.Err)
		})
	}
}

// A payload that does not arrive as it was sent is asked for again.
func TestAChecksumThatIsWrong(t *testing.T) {
	s := start(t)
	value := first(t)
	rev := put(t, s.driver(t, nil), "a", value, driver.Absent)
	s.fault(2, gcpsmtest.Corrupt(), "AccessSecretVersion")
	if got := get(t, s.driver(t, nil), "a"); got.Revision != rev || string(got.Value) != string(value) {
		t.Errorf("revision %q, error %v, want %q", got.Revision, got.Err, rev)
	}
	s.fault(0, gcpsmtest.Corrupt(), "AccessSecretVersion")
	item := get(t, s.driver(t, nil), "a")
	if !errors.Is(item.Err, driver.ErrCorrupt) || !strings.Contains(item.Err.Error(), "the checksum of version 1 is wrong") {
		t.Errorf("error %v, want %v", item.Err, driver.ErrCorrupt)
	}
	silent(t, item.Err)
}

// What was replaced may be destroyed already: by an earlier request whose answer was
// lost, or by another process. That is no missing right.
func TestDestroyingWhatIsDestroyedIsNoError(t *testing.T) {
	for _, message := range []string{"SecretVersion.state is already DESTROYED.", "SecretVersion is already scheduled for DESTRUCTION."} {
		s := start(t)
		d := s.driver(t, unpaced())
		value := first(t)
		rev := put(t, d, "a", value, driver.Absent)
		destroy := s.fault(0, gcpsmtest.FailBefore(codes.FailedPrecondition, message), "DestroySecretVersion")
		for range 3 {
			value = after(t, value)
			rev = put(t, d, "a", value, rev)
		}
		if got := destroy.Fired(); got != 3 {
			t.Errorf("%s: %d requests to destroy, want 3", message, got)
		}
	}
}

// A store that may not destroy keeps every token that was replaced, and pays for it: the
// write after the first says so, and that it was not written.
func TestTheRightToDestroyIsMissing(t *testing.T) {
	s := start(t)
	d := s.driver(t, unpaced())
	value := first(t)
	rev := put(t, d, "a", value, driver.Absent)
	denied := s.fault(0, gcpsmtest.FailBefore(codes.PermissionDenied, canary), "DestroySecretVersion")
	value = after(t, value)
	rev = put(t, d, "a", value, rev)
	for range 2 {
		_, err := d.Put(t.Context(), "a", after(t, value), rev)
		if !errors.Is(err, driver.ErrPermission) || !strings.Contains(err.Error(), "secretmanager.versions.destroy is needed, or version 1 stays and is charged") {
			t.Errorf("error %v, want %v", err, driver.ErrPermission)
		}
		silent(t, err)
	}
	if got := get(t, d, "a"); got.Revision != rev {
		t.Errorf("revision %q, want %q", got.Revision, rev)
	}
	denied.Remove()
	put(t, d, "a", after(t, value), rev)
	if got := s.Active(secretOf(prefix, "a")); got != 1 {
		t.Errorf("%d versions are charged for", got)
	}
}
