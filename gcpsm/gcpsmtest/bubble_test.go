package gcpsmtest_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	secretmanager "cloud.google.com/go/secretmanager/apiv1"
	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/test/bufconn"

	"github.com/tokenkeep/tokenkeep/gcpsm/gcpsmtest"
)

// In a bubble, time passes only while everybody waits.
func TestBubble(t *testing.T) {
	inBubble := func(name string, f func(*testing.T, *gcpsmtest.Server, *secretmanager.Client), opts ...gcpsmtest.Option) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := gcpsmtest.NewServer(append(opts, gcpsmtest.WithListener(bufconn.Listen(1<<20)))...)
				defer srv.Close()
				f(t, srv, must(srv.Client(t.Context()))(t))
			})
		})
	}
	inBubble("latency passes at once", func(t *testing.T, _ *gcpsmtest.Server, client *secretmanager.Client) {
		begun := time.Now()
		create(t, client, "a")
		must(add(t.Context(), client, "a", "v"))(t)
		if got := must(access(t.Context(), client, "a", "latest"))(t); got != "v" {
			t.Error(got)
		}
		if d := time.Since(begun); d != 9*time.Second {
			t.Errorf("three requests took %s", d)
		}
	}, gcpsmtest.WithLatency(3*time.Second))

	inBubble("a request that is slower than its client is applied all the same", func(t *testing.T, srv *gcpsmtest.Server, client *secretmanager.Client) {
		if _, err := srv.SetValue(project+"/secrets/a", "old"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := add(ctx, client, "a", "new")
		wantError(t, err, codes.DeadlineExceeded, "")
		if got := payloads(srv, "a"); got != "1=old" {
			t.Error(got)
		}
		time.Sleep(time.Minute) //nolint:forbidigo // the bubble's time
		if got := payloads(srv, "a"); got != "1=old 2=new" {
			t.Error(got)
		}
	}, gcpsmtest.WithLatency(10*time.Second))

	inBubble("a request that hangs ends with the library's timeout", func(t *testing.T, srv *gcpsmtest.Server, client *secretmanager.Client) {
		create(t, client, "a")
		srv.Inject(gcpsmtest.Fault{Methods: []string{"AddSecretVersion"}, Do: gcpsmtest.Hang()})
		begun := time.Now()
		_, err := add(t.Context(), client, "a", "v")
		wantError(t, err, codes.DeadlineExceeded, "")
		if d := time.Since(begun); d != time.Minute {
			t.Errorf("it took %s", d)
		}
	})

	inBubble("a client that leaves does not disturb others on its connection", func(t *testing.T, srv *gcpsmtest.Server, client *secretmanager.Client) {
		create(t, client, "a")
		release := make(chan struct{})
		srv.Inject(gcpsmtest.Fault{Methods: []string{"AddSecretVersion"}, Do: gcpsmtest.Hold(release)})
		srv.Inject(gcpsmtest.Fault{Methods: []string{"GetSecret"}, Do: gcpsmtest.Hang()})
		result := make(chan error, 1)
		go func() {
			_, err := add(t.Context(), client, "a", "v")
			result <- err
		}()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := client.GetSecret(ctx, &pb.GetSecretRequest{Name: project + "/secrets/a"})
		wantError(t, err, codes.DeadlineExceeded, "")
		synctest.Wait()
		close(release)
		if err := <-result; err != nil {
			t.Error(err)
		}
	})

	inBubble("a cut connection is replaced", func(t *testing.T, srv *gcpsmtest.Server, client *secretmanager.Client) {
		create(t, client, "a")
		srv.Inject(gcpsmtest.Fault{Times: 1, Do: gcpsmtest.LoseAnswer()})
		_, err := add(t.Context(), client, "a", "v")
		wantError(t, err, codes.Unavailable, "")
		if got := must(access(t.Context(), client, "a", "1"))(t); got != "v" {
			t.Error(got)
		}
	})

	inBubble("quotas and lag follow the bubble's clock", func(t *testing.T, _ *gcpsmtest.Server, client *secretmanager.Client) {
		create(t, client, "a")
		must(add(t.Context(), client, "a", "1"))(t)
		must(add(t.Context(), client, "a", "2"))(t)
		_, err := add(t.Context(), client, "a", "3")
		wantError(t, err, codes.ResourceExhausted, "")
		_, err = access(t.Context(), client, "a", "latest")
		wantError(t, err, codes.NotFound, "")
		time.Sleep(time.Hour) //nolint:forbidigo // the bubble's time
		if got := must(access(t.Context(), client, "a", "latest"))(t); got != "2" {
			t.Error(got)
		}
		must(client.GetSecret(t.Context(), &pb.GetSecretRequest{Name: project + "/secrets/a"}))(t)
	}, gcpsmtest.WithLag(time.Hour), gcpsmtest.WithQuotas(gcpsmtest.Quotas{}))
}
