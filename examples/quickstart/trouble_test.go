package main

import (
	"bytes"
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/tokenkeep/tokenkeep/token"
)

// A service that loses answers and throttles costs time, and no token.
func TestARoughServiceChangesNoCount(t *testing.T) {
	t.Parallel()
	onDoubles(t, func(t *testing.T, d *double) {
		for i, do := range []string{"lose answer", "throttle", "fail after"} {
			d.inject(fault{chance: 0.02, seed: uint64(i + 1), do: do})
		}
		stdout, stderr, code := runProgram(t, program(t, d.args()...))
		wantAllWell(t, stdout, stderr, code)
		d.wantOnly(t)
	})
}

func TestAfterAnErrorNothingIsLeft(t *testing.T) {
	t.Parallel()
	onDoubles(t, func(t *testing.T, d *double) {
		d.inject(fault{operation: d.write, skip: 20, do: "refuse"})
		stdout, stderr, code := runProgram(t, program(t, d.args()...))
		wantFailure(t, stdout, stderr, code, "permission denied")
		d.wantOnly(t)
	})
}

func TestAServiceThatDoesNotAnswerIsNamed(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"-endpoint http://127.0.0.1:1":                   "dial tcp 127.0.0.1:1",
		"-store gcpsm -endpoint 127.0.0.1:1":             "The service that is named above does not answer",
		"-store vaultstore -endpoint http://127.0.0.1:1": "dial tcp 127.0.0.1:1",
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			stdout, stderr, code := runProgram(t, program(t, strings.Fields(args)...))
			wantFailure(t, stdout, stderr, code, want)
			if !strings.Contains(stdout, "127.0.0.1:1\n") {
				t.Errorf("no service is named:\n%s", stdout)
			}
		})
	}
}

func TestWhatCannotBeRemovedIsSaid(t *testing.T) {
	t.Parallel()
	onDoubles(t, func(t *testing.T, d *double) {
		d.inject(fault{operation: d.remove, do: "refuse"})
		stdout, stderr, code := runProgram(t, program(t, d.args()...))
		_, begins, _ := strings.Cut(strings.TrimSpace(stderr), "remove by hand what begins with ")
		begins = strings.TrimPrefix(begins, d.above)
		left := d.names()
		others := slices.DeleteFunc(slices.Clone(left), func(name string) bool { return strings.HasPrefix(name, begins) })
		if code != 1 || begins == "" || len(left) != 6 || len(others) > 0 {
			t.Errorf("exit %d, left %q\n%s%s", code, left, stdout, stderr)
		}
	})
}

func TestAfterAnInterruptNothingIsLeft(t *testing.T) {
	t.Parallel()
	onDoubles(t, func(t *testing.T, d *double) {
		for _, operation := range slices.Concat(d.uncut, d.cut) {
			t.Run("in "+operation, func(t *testing.T) {
				release := make(chan struct{})
				held := d.inject(fault{operation: operation, skip: 1, times: 1, do: "hold", release: release})

				cmd := program(t, d.args()...)
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
				if slices.Contains(d.uncut, operation) {
					close(release) // it is not cut short, so it has to come to its end
				} else {
					defer close(release)
				}
				if err := cmd.Wait(); err == nil {
					t.Error("the program says that all went well")
				}
				wantFailure(t, out.String(), errOut.String(), cmd.ProcessState.ExitCode(), "interrupted")
				d.wantOnly(t)
			})
		}
	})
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
		"a secret that the index does not know": {func(_ context.Context, s *story) error {
			s.service.note(s.service.under + "token-aaaaaaaaaaaaaaaaaaaa")
			return nil
		}, 5, 1, 0},
		"a lost note": {func(ctx context.Context, s *story) error {
			return s.two.UpdateToken(ctx, "4", func(t *token.OAuthToken) error {
				delete(t.Extra, note(7))
				return nil
			})
		}, 5, 0, 0},
	} {
		for _, k := range kinds {
			t.Run(name+" in "+k.name, func(t *testing.T) {
				service, err := connect(t.Context(), k, options{})
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
				if created := service.recordSecrets(); created != 5 {
					t.Errorf("%d secrets of records are noted, want 5", created)
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
}
