package gcpsmtest_test

import (
	"strings"
	"testing"

	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"

	"github.com/tokenkeep/tokenkeep/gcpsm/gcpsmtest"
)

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
