package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/tokenkeep/tokenkeep/awssm/awssmtest"
	"github.com/tokenkeep/tokenkeep/token"
)

// A service that loses answers and throttles costs time, and no token.
func TestARoughServiceChangesNoCount(t *testing.T) {
	t.Parallel()
	srv := awssmtest.NewServer()
	defer srv.Close()
	for _, f := range []awssmtest.Fault{
		{Chance: 0.02, Seed: 1, Do: awssmtest.LoseAnswer()},
		{Chance: 0.02, Seed: 2, Do: awssmtest.Throttle()},
		{Chance: 0.02, Seed: 3, Do: awssmtest.FailAfter(awssmtest.InternalServiceError())},
	} {
		srv.Inject(f)
	}
	stdout, stderr, code := runProgram(t, program(t, "-endpoint", srv.URL))
	wantAllWell(t, stdout, stderr, code)
	wantOnly(t, srv)
}

func TestAfterAnErrorNothingIsLeft(t *testing.T) {
	t.Parallel()
	srv := awssmtest.NewServer()
	defer srv.Close()
	srv.Inject(awssmtest.Fault{
		Operations: []string{"PutSecretValue"}, Skip: 20,
		Do: awssmtest.EchoBody(awssmtest.Error{Code: "AccessDeniedException", Message: "no: "}),
	})
	stdout, stderr, code := runProgram(t, program(t, "-endpoint", srv.URL))
	wantFailure(t, stdout, stderr, code, "permission denied")
	wantOnly(t, srv)
}

func TestWhatCannotBeRemovedIsSaid(t *testing.T) {
	t.Parallel()
	srv := awssmtest.NewServer(awssmtest.WithPolicy(func(operation, _ string) bool { return operation != "DeleteSecret" }))
	defer srv.Close()
	stdout, stderr, code := runProgram(t, program(t, "-endpoint", srv.URL))
	if prefix := prefixOf(t, stdout); code != 1 || !strings.Contains(stderr, "remove by hand what is under "+prefix+"/") {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
}

func TestAfterAnInterruptNothingIsLeft(t *testing.T) {
	t.Parallel()
	for _, operation := range []string{"CreateSecret", "PutSecretValue", "BatchGetSecretValue"} {
		t.Run("in "+operation, func(t *testing.T) {
			srv := awssmtest.NewServer()
			defer srv.Close()
			release := make(chan struct{})
			held := srv.Inject(awssmtest.Fault{Operations: []string{operation}, Skip: 1, Times: 1, Do: awssmtest.Hold(release)})

			cmd := program(t, "-endpoint", srv.URL)
			var out, errOut bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &errOut
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if err := held.Await(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			if operation == "CreateSecret" {
				close(release) // it is not cut short, so it has to come to its end
			} else {
				defer close(release)
			}
			if err := cmd.Wait(); err == nil {
				t.Error("the program says that all went well")
			}
			wantFailure(t, out.String(), errOut.String(), cmd.ProcessState.ExitCode(), "interrupted")
			wantOnly(t, srv)
		})
	}
}

// The counts are counted.
func TestTheCountSeesWhatIsLostAndWhatIsThereTwice(t *testing.T) {
	t.Parallel()
	other := &token.OAuthToken{UserSignature: token.UserSignature{Name: "somebody else"}, RefreshToken: token.NewSecret("other")}
	for name, c := range map[string]struct {
		harm                     func(context.Context, *story) error
		stored, duplicated, lost int
	}{
		"nothing": {func(context.Context, *story) error { return nil }, 5, 0, 0},
		"a deleted record": {func(ctx context.Context, s *story) error {
			return s.two.DeleteToken(ctx, "2")
		}, 4, 0, 1},
		"a changed record": {func(ctx context.Context, s *story) error {
			return s.two.SaveToken(ctx, &token.OAuthToken{ID: "2", AccessToken: token.NewSecret("other")})
		}, 5, 0, 1},
		"a record too many": {func(ctx context.Context, s *story) error {
			return s.two.SaveToken(ctx, other)
		}, 6, 1, 0},
		"a secret that the index does not know": {func(ctx context.Context, s *story) error {
			_, err := s.service.client.CreateSecret(ctx, &secretsmanager.CreateSecretInput{
				Name: aws.String(s.service.prefix + "/token-aaaaaaaaaaaaaaaaaaaa"), SecretString: aws.String("{}"),
			})
			return err
		}, 5, 1, 0},
		"a lost note": {func(ctx context.Context, s *story) error {
			return s.two.UpdateToken(ctx, "4", func(t *token.OAuthToken) error {
				delete(t.Extra, note(7))
				return nil
			})
		}, 5, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			service, err := connect(t.Context(), options{})
			if err != nil {
				t.Fatal(err)
			}
			defer service.close()
			s := &story{service: service}
			if s.one, err = service.store(); err != nil {
				t.Fatal(err)
			}
			if s.two, err = service.store(); err != nil {
				t.Fatal(err)
			}
			for _, step := range []func(context.Context) (string, error){s.read, s.save, s.saveAtOnce} {
				if _, err := step(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.harm(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			_, err = s.count(t.Context())
			if s.stored != c.stored || s.duplicated != c.duplicated || s.lost != c.lost {
				t.Errorf("%d stored, %d duplicated, %d lost, want %+v", s.stored, s.duplicated, s.lost, c)
			}
			if (err == nil) != (name == "nothing") {
				t.Errorf("error %v", err)
			}
		})
	}
}
