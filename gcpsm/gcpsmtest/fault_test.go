package gcpsmtest_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	secretmanager "cloud.google.com/go/secretmanager/apiv1"
	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tokenkeep/tokenkeep/gcpsm/gcpsmtest"
)

// payloads shows what a secret holds, "1=old 2=new".
func payloads(srv *gcpsmtest.Server, id string) string {
	var list []string
	for _, v := range srv.Versions(project + "/secrets/" + id) {
		list = append(list, fmt.Sprintf("%d=%s", v.Number, v.Payload))
	}
	return strings.Join(list, " ")
}

func TestActions(t *testing.T) {
	for _, test := range []struct {
		name string
		do   gcpsmtest.Action
		code codes.Code
		text string
		want string // what the secret holds afterwards
		lost bool
	}{
		{name: "FailBefore answers the error and applies nothing", do: gcpsmtest.FailBefore(codes.Internal, "broken"),
			code: codes.Internal, text: "broken", want: "1=old"},
		{name: "FailAfter answers the error and applies", do: gcpsmtest.FailAfter(codes.DeadlineExceeded, "slow"),
			code: codes.DeadlineExceeded, text: "slow", want: "1=old 2=canary"},
		{name: "Throttle answers RESOURCE_EXHAUSTED and applies nothing", do: gcpsmtest.Throttle(),
			code: codes.ResourceExhausted, want: "1=old"},
		{name: "LoseRequest cuts the connection and applies nothing", do: gcpsmtest.LoseRequest(),
			code: codes.Unavailable, want: "1=old", lost: true},
		{name: "LoseAnswer cuts the connection and applies", do: gcpsmtest.LoseAnswer(),
			code: codes.Unavailable, want: "1=old 2=canary", lost: true},
		{name: "Duplicate makes two versions", do: gcpsmtest.Duplicate(), want: "1=old 2=canary 3=canary"},
		{name: "EchoBody shows the payload in the message", do: gcpsmtest.EchoBody(codes.InvalidArgument),
			code: codes.InvalidArgument, text: "canary", want: "1=old"},
		{name: "BurnNumber uses up a number and answers INTERNAL", do: gcpsmtest.BurnNumber(),
			code: codes.Internal, want: "1=old"},
		{name: "no action lets the request pass", want: "1=old 2=canary"},
	} {
		t.Run(test.name, func(t *testing.T) {
			srv, client := start(t)
			create(t, client, "n")
			must(add(t.Context(), client, "n", "old"))(t)
			srv.ResetCalls()
			injection := srv.Inject(gcpsmtest.Fault{Methods: []string{"AddSecretVersion"}, Do: test.do})
			_, err := add(t.Context(), client, "n", "canary")
			wantError(t, err, test.code, test.text)
			if got := payloads(srv, "n"); got != test.want {
				t.Errorf("stored %q, want %q", got, test.want)
			}
			if n := injection.Fired(); n != 1 {
				t.Errorf("fired %d times", n)
			}
			want := []gcpsmtest.Call{{Method: "AddSecretVersion", Resource: project + "/secrets/n", Secret: "n", Code: test.code, Lost: test.lost}}
			if test.lost {
				want[0].Code = codes.OK
			}
			if diff := cmp.Diff(want, srv.Calls()); diff != "" {
				t.Error(diff)
			}
		})
	}

	t.Run("Duplicate answers what became of the second", func(t *testing.T) {
		srv, client := start(t)
		create(t, client, "n")
		fault := srv.Inject(gcpsmtest.Fault{Do: gcpsmtest.Duplicate()})
		if v := must(add(t.Context(), client, "n", "v"))(t); !strings.HasSuffix(v.GetName(), "/versions/2") {
			t.Error(v.GetName())
		}
		err := client.DeleteSecret(t.Context(), &pb.DeleteSecretRequest{Name: project + "/secrets/n"})
		wantError(t, err, codes.NotFound, "not found.")
		fault.Remove()
	})
	t.Run("Corrupt spoils the payload, not its checksum", func(t *testing.T) {
		srv, client := start(t)
		create(t, client, "n")
		must(add(t.Context(), client, "n", "value"))(t)
		srv.Inject(gcpsmtest.Fault{Times: 2, Do: gcpsmtest.Corrupt()})
		read := func() *pb.SecretPayload {
			return must(client.AccessSecretVersion(t.Context(), &pb.AccessSecretVersionRequest{Name: versionName("n", "1")}))(t).GetPayload()
		}
		bad := read()
		must(client.GetSecret(t.Context(), &pb.GetSecretRequest{Name: project + "/secrets/n"}))(t)
		good := read()
		if string(bad.GetData()) == "value" || bad.GetDataCrc32C() == crc(bad.GetData()) || bad.GetDataCrc32C() != good.GetDataCrc32C() {
			t.Errorf("corrupt %v, whole %v", bad, good)
		}
	})
	t.Run("a cut connection is replaced", func(t *testing.T) {
		srv, client := start(t)
		create(t, client, "n")
		must(add(t.Context(), client, "n", "v"))(t)
		srv.Inject(gcpsmtest.Fault{Methods: []string{"AccessSecretVersion"}, Times: 2, Do: gcpsmtest.LoseRequest()})
		if got := must(access(t.Context(), client, "n", "1"))(t); got != "v" { // the library retries
			t.Error(got)
		}
		if n := srv.CountCalls()["AccessSecretVersion"]; n != 3 {
			t.Errorf("%d calls", n)
		}
	})
}

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
		return srv, client, srv.Inject(gcpsmtest.Fault{Methods: []string{"AddSecretVersion"}, Times: 1, Do: do})
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
