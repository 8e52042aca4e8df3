// Command cloudrun is an HTTP server for Cloud Run that calls an API for a user: GET /users/ana@example.com is
// answered with what the API says to that user. Any number of its instances may run at once.
//
// service.yaml beside it deploys it. Who may call it is decided by Cloud Run (roles/run.invoker). It
// needs no secret of its own: the client's stands in the records, with the tokens.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	secretmanager "cloud.google.com/go/secretmanager/apiv1"
	"golang.org/x/oauth2"
	"google.golang.org/api/option"

	"github.com/tokenkeep/tokenkeep/gcpsm"
	"github.com/tokenkeep/tokenkeep/tokensource"
)

// needed are the environment variables of the program. Cloud Run sets the first one.
var needed = []string{"PORT", "PROJECT", "TOKENS_PREFIX", "OAUTH_CLIENT_ID", "OAUTH_TOKEN_URL", "API_URL"}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM) // ten seconds before Cloud Run ends the process
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "cloudrun:", err)
		os.Exit(1) //nolint:gocritic // stop has nothing left to do
	}
}

func run(ctx context.Context) error {
	s, err := open(ctx)
	if err != nil {
		return err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", ":"+os.Getenv("PORT"))
	if err != nil {
		return err
	}
	return s.serve(ctx, l)
}

// open makes a server of what the environment says. The opts are those of Google's client.
func open(ctx context.Context, opts ...option.ClientOption) (*server, error) {
	var missing []string
	for _, name := range needed {
		if os.Getenv(name) == "" {
			missing = append(missing, name)
		}
	}
	if missing != nil {
		return nil, errors.New("missing in the environment: " + strings.Join(missing, ", "))
	}
	client, err := secretmanager.NewClient(ctx, opts...)
	if err != nil {
		return nil, err
	}
	store, err := gcpsm.New(client, "projects/"+os.Getenv("PROJECT"), os.Getenv("TOKENS_PREFIX"), nil)
	if err != nil {
		return nil, err
	}
	return &server{
		store:   store,
		conf:    &oauth2.Config{ClientID: os.Getenv("OAUTH_CLIENT_ID"), Endpoint: oauth2.Endpoint{TokenURL: os.Getenv("OAUTH_TOKEN_URL")}},
		api:     os.Getenv("API_URL"),
		sources: map[string]*tokensource.Source{},
	}, nil
}
