// Command refresh shows, step by step, how twenty processes share the tokens of one user, so that exactly
// one of them spends each refresh token.
//
//	go run ./examples/refresh    no network, no account: the OAuth server and AWS Secrets Manager are doubles in the process
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/tokenkeep/tokenkeep/awssm/awssmtest"
	"github.com/tokenkeep/tokenkeep/examples/authserver"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "refresh:", err)
		os.Exit(1) //nolint:gocritic // what is deferred is of no use any more
	}
}

// run tells the story to w.
func run(ctx context.Context, w io.Writer) error {
	s := &story{server: authserver.New(), secrets: awssmtest.NewServer()}
	defer s.server.Close()
	defer s.secrets.Close()
	fmt.Fprint(w, "tokenkeep refresh: twenty processes share the tokens of one user.\n\n",
		"    provider  an OAuth server in this process. A refresh token can be used once; who uses\n",
		"              it again is taken for a thief, and all that came of the login is revoked\n",
		"    store     a double of AWS Secrets Manager in this process\n",
		"    requests  those that the OAuth server got\n\n")
	for i, step := range []struct {
		title string
		do    func(context.Context) (string, error)
	}{
		{"Ana logs in", s.login},
		{"Her access token expires, and twenty processes want one at once", s.expire},
		{"Each of them calls an API ten times", s.call},
		{"An administrator revokes the access token: the API refuses all", s.reject},
		{"The same without tokenkeep: two programs, one refresh token", s.without},
		{"Ana takes back her consent", s.withdraw},
	} {
		before, _, _ := s.server.Count()
		text, err := step.do(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", step.title, err)
		}
		after, _, _ := s.server.Count()
		end := fmt.Sprintf("%d request", after-before)
		if after-before != 1 {
			end += "s"
		}
		fmt.Fprintf(w, "%2d  %s %s %s\n    %s\n\n", i+1, step.title, strings.Repeat(".", 80-6-len(step.title)-len(end)), end,
			strings.ReplaceAll(text, "\n", "\n    "))
	}
	fmt.Fprintf(w, "refresh: %d processes, %d refreshes, %d refresh tokens spent, %d spent twice\n", processes, s.refreshes, s.spent, s.reused)
	return nil
}
