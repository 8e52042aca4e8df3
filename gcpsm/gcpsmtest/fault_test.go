package gcpsmtest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tokenkeep/tokenkeep/gcpsm/gcpsmtest"
)

func TestFaultChoice(t *testing.T) {
	// failures adds n times to each of two secrets and tells which adds failed.
	failures := func(t *testing.T, f gcpsmtest.Fault, n int) []string {
		srv, client := start(t)
		create(t, client, "a")
		create(t, client, "b")
		f.Do = gcpsmtest.FailBefore(codes.Internal, "")
		srv.Inject(f)
		failed := []string{}
		for i := range n {
			for _, id := range []string{"a", "b"} {
				if _, err := add(t.Context(), client, id, "v"); err != nil {
					failed = append(failed, fmt.Sprint(id, i))
				}
			}
		}
		return failed
	}
	for _, test := range []struct {
		name  string
		fault gcpsmtest.Fault
		want  string
	}{
		{"the zero fault hits everything", gcpsmtest.Fault{}, "a0 b0 a1 b1 a2 b2"},
		{"methods choose", gcpsmtest.Fault{Methods: []string{"AccessSecretVersion"}}, ""},
		{"secrets choose", gcpsmtest.Fault{Secret: func(id string) bool { return id == "a" }}, "a0 a1 a2"},
		{"the first ones can be skipped", gcpsmtest.Fault{Skip: 4}, "a2 b2"},
		{"it ends after some times", gcpsmtest.Fault{Skip: 1, Times: 2}, "b0 a1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := strings.Join(failures(t, test.fault, 3), " "); got != test.want {
				t.Errorf("failed %q, want %q", got, test.want)
			}
		})
	}
	t.Run("chance is seeded", func(t *testing.T) {
		one, again := failures(t, gcpsmtest.Fault{Chance: 0.3, Seed: 1}, 40), failures(t, gcpsmtest.Fault{Chance: 0.3, Seed: 1}, 40)
		if !slices.Equal(one, again) {
			t.Error(cmp.Diff(one, again))
		}
		if len(one) < 10 || len(one) > 40 {
			t.Errorf("%d of 80 requests failed at a chance of 0.3", len(one))
		}
	})
	t.Run("a list names no secret", func(t *testing.T) {
		srv, client := start(t)
		srv.Inject(gcpsmtest.Fault{Secret: func(string) bool { return true }, Do: gcpsmtest.Throttle()})
		if names := list(t, client, ""); len(names) != 0 {
			t.Error(names)
		}
	})
	t.Run("the first fault that fires is the only one", func(t *testing.T) {
		srv, client := start(t)
		first := srv.Inject(gcpsmtest.Fault{Times: 1, Do: gcpsmtest.FailBefore(codes.Internal, "first")})
		second := srv.Inject(gcpsmtest.Fault{Times: 1, Do: gcpsmtest.FailBefore(codes.Internal, "second")})
		for _, want := range []string{"first", "second", "not found"} {
			_, err := add(t.Context(), client, "n", "v")
			if !strings.Contains(status.Convert(err).Message(), want) {
				t.Errorf("error = %v, want %s", err, want)
			}
		}
		if first.Fired() != 1 || second.Fired() != 1 {
			t.Errorf("fired %d and %d times", first.Fired(), second.Fired())
		}
	})
	t.Run("a removed fault hits nothing", func(t *testing.T) {
		srv, client := start(t)
		fault := srv.Inject(gcpsmtest.Fault{Do: gcpsmtest.Hang()})
		fault.Remove()
		fault.Remove()
		create(t, client, "n")
	})
	t.Run("Await ends with its context", func(t *testing.T) {
		srv, _ := start(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := srv.Inject(gcpsmtest.Fault{}).Await(ctx, 1); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}
