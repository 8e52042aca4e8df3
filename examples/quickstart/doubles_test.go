package main

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/tokenkeep/tokenkeep/awssm/awssmtest"
	"github.com/tokenkeep/tokenkeep/gcpsm/gcpsmtest"
	"github.com/tokenkeep/tokenkeep/vaultstore/vaultstoretest"
)

// A double is a service in the process of the test, which the program knows by its address.
type double struct {
	kind     kind
	endpoint string
	put      func(name string) error // does what an operator does
	names    func() []string
	served   func() int // requests so far
	inject   func(fault) injection

	above, slash  string // what stands before names of secrets, and in them
	write, remove string // what requests are called
	uncut, cut    []string
}

// A fault is one of any double.
type fault struct {
	operation   string // empty: any
	skip, times int
	chance      float64
	seed        uint64
	do          string
	release     chan struct{}
}

type injection interface {
	Await(ctx context.Context, n int) error
}

// onDoubles runs a test on each service that has a double.
func onDoubles(t *testing.T, test func(*testing.T, *double)) {
	t.Helper()
	for _, start := range []func(*testing.T) *double{startAWS, startGoogle, startVault} {
		d := start(t)
		t.Run(d.kind.name, func(t *testing.T) { test(t, d) })
	}
}

func startAWS(t *testing.T) *double {
	srv := awssmtest.NewServer()
	t.Cleanup(srv.Close)
	return &double{
		kind: onAWS, endpoint: srv.URL, names: srv.Names, slash: "/",
		put:    func(name string) error { _, err := srv.SetValue(name, "1"); return err },
		served: func() int { return len(srv.Calls()) },
		write:  "PutSecretValue", remove: "DeleteSecret",
		uncut: []string{"CreateSecret"}, cut: []string{"PutSecretValue", "BatchGetSecretValue"},
		inject: func(f fault) injection {
			return srv.Inject(awssmtest.Fault{
				Operations: operations(f), Skip: f.skip, Times: f.times, Chance: f.chance, Seed: f.seed,
				Do: map[string]awssmtest.Action{
					"hold":        awssmtest.Hold(f.release),
					"lose answer": awssmtest.LoseAnswer(),
					"throttle":    awssmtest.Throttle(),
					"fail after":  awssmtest.FailAfter(awssmtest.InternalServiceError()),
					"refuse":      awssmtest.EchoBody(awssmtest.Error{Code: "AccessDeniedException", Message: "no: "}),
				}[f.do],
			})
		},
	}
}

func startGoogle(t *testing.T) *double {
	srv := gcpsmtest.NewServer()
	t.Cleanup(srv.Close)
	return &double{
		kind: onGoogle, endpoint: srv.Addr, names: func() []string { return ids(srv) },
		above: "projects/quickstart/secrets/", slash: "__",
		put:    func(name string) error { _, err := srv.SetValue("projects/quickstart/secrets/"+name, "1"); return err },
		served: func() int { return len(srv.Calls()) },
		write:  "AddSecretVersion", remove: "DeleteSecret",
		uncut: []string{"CreateSecret"}, cut: []string{"AddSecretVersion", "AccessSecretVersion"},
		inject: func(f fault) injection {
			return srv.Inject(gcpsmtest.Fault{
				Methods: operations(f), Skip: f.skip, Times: f.times, Chance: f.chance, Seed: f.seed,
				Do: map[string]gcpsmtest.Action{
					"hold":        gcpsmtest.Hold(f.release),
					"lose answer": gcpsmtest.LoseAnswer(),
					"throttle":    gcpsmtest.Throttle(),
					"fail after":  gcpsmtest.FailAfter(codes.Internal, "an error"),
					"refuse":      gcpsmtest.EchoBody(codes.PermissionDenied),
				}[f.do],
			})
		},
	}
}

func startVault(t *testing.T) *double {
	srv := vaultstoretest.NewServer()
	t.Cleanup(srv.Close)
	return &double{
		kind: onVault, endpoint: srv.URL, names: func() []string { return srv.Names("secret") },
		above: "secret/", slash: "/",
		put: func(name string) error {
			_, err := srv.SetValue("secret/"+name, map[string]any{"value": "1"})
			return err
		},
		served: func() int { return len(srv.Calls()) },
		write:  "PUT data", remove: "DELETE metadata",
		uncut: []string{"PUT data"}, cut: []string{"GET data", "PUT destroy"},
		inject: func(f fault) injection {
			return srv.Inject(vaultstoretest.Fault{
				Operations: operations(f), Skip: f.skip, Times: f.times, Chance: f.chance, Seed: f.seed,
				Do: map[string]vaultstoretest.Action{
					"hold":        vaultstoretest.Hold(f.release),
					"lose answer": vaultstoretest.LoseAnswer(),
					"throttle":    vaultstoretest.Throttle(),
					"fail after":  vaultstoretest.FailAfter(http.StatusInternalServerError, "an error"),
					"refuse":      vaultstoretest.EchoBody(http.StatusForbidden),
				}[f.do],
			})
		},
	}
}

// ids returns the ids of all secrets: their names without the project.
func ids(srv *gcpsmtest.Server) (ids []string) {
	for _, name := range srv.Names() {
		_, id, _ := strings.Cut(name, "/secrets/")
		ids = append(ids, id)
	}
	return ids
}

func operations(f fault) []string {
	if f.operation == "" {
		return nil
	}
	return []string{f.operation}
}

// args are the flags by which the program uses the double.
func (d *double) args() []string { return []string{"-store", d.kind.name, "-endpoint", d.endpoint} }

func (d *double) wantOnly(t *testing.T, names ...string) {
	t.Helper()
	if left := d.names(); strings.Join(left, " ") != strings.Join(names, " ") {
		t.Errorf("secrets %q, want %q", left, names)
	}
}
