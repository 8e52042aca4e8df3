package gcpsmtest_test

import (
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"

	"github.com/tokenkeep/tokenkeep/gcpsm/gcpsmtest"
)

func TestCalls(t *testing.T) {
	srv, client := start(t)
	create(t, client, "a")
	_, _ = access(t.Context(), client, "a", "7")
	list(t, client, "")
	t.Run("calls are those that reached the service, in order", func(t *testing.T) {
		want := []gcpsmtest.Call{
			{Method: "CreateSecret", Resource: project, Secret: "a"},
			{Method: "AccessSecretVersion", Resource: versionName("a", "7"), Secret: "a", Version: "7", Code: codes.NotFound},
			{Method: "ListSecrets", Resource: project},
		}
		if diff := cmp.Diff(want, srv.Calls()); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("they are counted by method, and can be forgotten", func(t *testing.T) {
		want := map[string]int{"CreateSecret": 1, "AccessSecretVersion": 1, "ListSecrets": 1}
		if diff := cmp.Diff(want, srv.CountCalls()); diff != "" {
			t.Error(diff)
		}
		srv.ResetCalls()
		if calls := srv.Calls(); len(calls) != 0 {
			t.Error(calls)
		}
	})
	t.Run("none is lost under load, and no number is given twice", func(t *testing.T) {
		var group sync.WaitGroup
		for range 16 {
			group.Go(func() {
				for range 25 {
					_, _ = add(t.Context(), client, "a", "v")
				}
			})
		}
		group.Wait()
		if n := srv.CountCalls()["AddSecretVersion"]; n != 400 {
			t.Errorf("%d calls", n)
		}
		if versions := srv.Versions(project + "/secrets/a"); len(versions) != 400 || versions[399].Number != 400 {
			t.Errorf("%d versions", len(versions))
		}
	})
}
