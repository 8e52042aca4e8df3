package gcpsmtest_test

import (
	"context"
	"runtime"
	"strings"
	"testing"

	secretmanager "cloud.google.com/go/secretmanager/apiv1"
	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/grpc/codes"

	"github.com/tokenkeep/tokenkeep/gcpsm/gcpsmtest"
)

func TestHolding(t *testing.T) {
	// late adds a version behind the back of the test.
	late := func(ctx context.Context, client *secretmanager.Client, payload string) <-chan error {
		result := make(chan error, 1)
		go func() {
			_, err := add(ctx, client, "n", payload)
			result <- err
		}()
		return result
	}
	hold := func(t *testing.T, do gcpsmtest.Action) (*gcpsmtest.Server, *secretmanager.Client, *gcpsmtest.Injection) {
		srv, client := start(t)
		create(t, client, "n")
		must(add(t.Context(), client, "n", "old"))(t)
		held := srv.Inject(gcpsmtest.Fault{Methods: []string{"AddSecretVersion"}, Times: 1, Do: do})
		return srv, client, held
	}
	await := func(t *testing.T, i *gcpsmtest.Injection) {
		t.Helper()
		if err := i.Await(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
	}
	until := func(srv *gcpsmtest.Server, want string) {
		for payloads(srv, "n") != want {
			runtime.Gosched() // it is applied some time later
		}
	}
	t.Run("Hold keeps the request until it is released, also when its client has left", func(t *testing.T) {
		release := make(chan struct{})
		srv, client, held := hold(t, gcpsmtest.Hold(release))
		ctx, leave := context.WithCancel(t.Context())
		result := late(ctx, client, "late")
		await(t, held)
		leave()
		wantError(t, <-result, codes.Canceled, "")
		if got := payloads(srv, "n"); got != "1=old" {
			t.Errorf("applied before its release: %s", got)
		}
		close(release)
		until(srv, "1=old 2=late")
	})
	t.Run("HoldAnswer applies and keeps the answer until it is released", func(t *testing.T) {
		release := make(chan struct{})
		srv, client, held := hold(t, gcpsmtest.HoldAnswer(release))
		result := late(t.Context(), client, "new")
		await(t, held)
		if got := payloads(srv, "n"); got != "1=old 2=new" {
			t.Error(got)
		}
		select {
		case err := <-result:
			t.Errorf("answered before its release: %v", err)
		default:
		}
		close(release)
		if err := <-result; err != nil {
			t.Error(err)
		}
	})
	t.Run("HoldNumber leaves a gap that is filled in the end", func(t *testing.T) {
		release := make(chan struct{})
		srv, client, held := hold(t, gcpsmtest.HoldNumber(release))
		result := late(t.Context(), client, "late")
		await(t, held)
		if v := must(add(t.Context(), client, "n", "next"))(t); !strings.HasSuffix(v.GetName(), "/versions/3") {
			t.Errorf("the next version is %s", v.GetName())
		}
		_, err := access(t.Context(), client, "n", "2")
		wantError(t, err, codes.NotFound, "/versions/2] not found.")
		if got := must(access(t.Context(), client, "n", "latest"))(t); got != "next" {
			t.Errorf("latest = %s", got)
		}
		close(release)
		if err := <-result; err != nil {
			t.Error(err)
		}
		if got := payloads(srv, "n"); got != "1=old 2=late 3=next" {
			t.Error(got)
		}
		if got := must(access(t.Context(), client, "n", "latest"))(t); got != "next" {
			t.Errorf("latest = %s", got)
		}
	})
	t.Run("HoldNumber fills no gap in a secret that was created again", func(t *testing.T) {
		release := make(chan struct{})
		srv, client, held := hold(t, gcpsmtest.HoldNumber(release))
		result := late(t.Context(), client, "late")
		await(t, held)
		srv.Purge(project + "/secrets/n")
		create(t, client, "n")
		close(release)
		wantError(t, <-result, codes.NotFound, "")
		if got := payloads(srv, "n"); got != "" {
			t.Error(got)
		}
	})
	t.Run("HoldNumber and BurnNumber refuse what the service refuses, and take no number", func(t *testing.T) {
		srv, client, _ := hold(t, gcpsmtest.BurnNumber())
		srv.Inject(gcpsmtest.Fault{Times: 1, Do: gcpsmtest.HoldNumber(nil)})
		for range 2 {
			_, err := add(t.Context(), client, "n", "")
			wantError(t, err, codes.InvalidArgument, "empty")
		}
		if v := must(add(t.Context(), client, "n", "new"))(t); !strings.HasSuffix(v.GetName(), "/versions/2") {
			t.Error(v.GetName())
		}
	})
	t.Run("a burnt number stays empty for ever", func(t *testing.T) {
		srv, client, _ := hold(t, gcpsmtest.BurnNumber())
		_, err := add(t.Context(), client, "n", "burnt")
		wantError(t, err, codes.Internal, "")
		must(add(t.Context(), client, "n", "new"))(t)
		if got := payloads(srv, "n"); got != "1=old 3=new" {
			t.Error(got)
		}
	})
	t.Run("other methods are held and fail", func(t *testing.T) {
		release := make(chan struct{})
		close(release)
		srv, client := start(t)
		srv.Inject(gcpsmtest.Fault{Times: 1, Do: gcpsmtest.HoldNumber(release)})
		create(t, client, "n")
		srv.Inject(gcpsmtest.Fault{Times: 1, Do: gcpsmtest.BurnNumber()})
		_, err := client.GetSecret(t.Context(), &pb.GetSecretRequest{Name: project + "/secrets/n"})
		wantError(t, err, codes.Internal, "")
	})
	for name, do := range map[string]gcpsmtest.Action{"Hang": gcpsmtest.Hang(), "HangAfter": gcpsmtest.HangAfter()} {
		t.Run(name+" never answers until the client leaves", func(t *testing.T) {
			srv, client, hung := hold(t, do)
			ctx, leave := context.WithCancel(t.Context())
			result := late(ctx, client, "new")
			await(t, hung)
			leave()
			wantError(t, <-result, codes.Canceled, "")
			srv.Close() // waits for what is being served
			if calls := srv.Calls(); !calls[len(calls)-1].Lost {
				t.Error(calls)
			}
			want := map[string]string{"Hang": "1=old", "HangAfter": "1=old 2=new"}[name]
			if got := payloads(srv, "n"); got != want {
				t.Errorf("stored %q, want %q", got, want)
			}
		})
	}
	for name, do := range map[string]gcpsmtest.Action{
		"Hold": gcpsmtest.Hold(nil), "HoldAnswer": gcpsmtest.HoldAnswer(nil), "HoldNumber": gcpsmtest.HoldNumber(nil), "Hang": gcpsmtest.Hang(),
	} {
		t.Run("Close lets everything go: "+name, func(t *testing.T) {
			srv, client, held := hold(t, do)
			result := late(t.Context(), client, "new")
			await(t, held)
			srv.Close()
			if err := <-result; err == nil {
				t.Error("the request succeeded")
			}
		})
	}
}
