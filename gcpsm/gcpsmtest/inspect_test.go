package gcpsmtest_test

import (
	"strings"
	"testing"

	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/grpc/codes"
)

func TestInspection(t *testing.T) {
	srv, client := start(t)
	number := create(t, client, "n").GetName()
	t.Run("an operator adds versions and creates secrets", func(t *testing.T) {
		if n := must(srv.SetValue(project+"/secrets/n", "1"))(t); n != 1 {
			t.Error(n)
		}
		if n := must(srv.SetValue(number, "2"))(t); n != 2 {
			t.Error(n)
		}
		if n := must(srv.SetValue(project+"/secrets/new", "1"))(t); n != 1 {
			t.Error(n)
		}
		if got := must(access(t.Context(), client, "n", "latest"))(t); got != "2" {
			t.Error(got)
		}
	})
	t.Run("the service's limits hold for operators", func(t *testing.T) {
		for name, value := range map[string]string{project + "/secrets/n": "", project + "/secrets/a.b": "v", "n": "v"} {
			_, err := srv.SetValue(name, value)
			wantError(t, err, codes.InvalidArgument, "")
		}
	})
	t.Run("names, versions and values are shown", func(t *testing.T) {
		want(t, srv.Names(), number+" "+strings.TrimSuffix(number, "/n")+"/new")
		if got := payloads(srv, "n"); got != "1=1 2=2" {
			t.Error(got)
		}
		if value, n, ok := srv.Value(number); value != "2" || n != 2 || !ok {
			t.Errorf("%q %d %v", value, n, ok)
		}
		if n := srv.Active(number); n != 2 {
			t.Error(n)
		}
	})
	t.Run("what is inspected is no call", func(t *testing.T) {
		srv.ResetCalls()
		_, _ = srv.SetValue(number, "3")
		srv.Value(number)
		if calls := srv.Calls(); len(calls) != 0 {
			t.Error(calls)
		}
	})
	t.Run("a destroyed newest version has no value", func(t *testing.T) {
		must(client.DestroySecretVersion(t.Context(), &pb.DestroySecretVersionRequest{Name: number + "/versions/3"}))(t)
		if value, n, ok := srv.Value(number); value != "" || n != 3 || ok {
			t.Errorf("%q %d %v", value, n, ok)
		}
	})
	t.Run("a purged secret is gone and its name is free", func(t *testing.T) {
		srv.Purge(number)
		srv.Purge(number)
		srv.Purge("nonsense")
		if _, _, ok := srv.Value(number); ok || srv.Versions(number) != nil || srv.Active(number) != 0 {
			t.Error("it is still there")
		}
		create(t, client, "n")
	})
}
