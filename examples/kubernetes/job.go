package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"

	"github.com/hashicorp/vault/api"
	"golang.org/x/oauth2"

	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/tokensource"
)

type job struct {
	store              *token.Store
	conf               *oauth2.Config
	role, jwtFile, api string
}

// login gives Vault's client a token: with the first request, and whenever the one that it has was refused.
func (j *job) login(ctx context.Context, client *api.Client) error {
	jwt, err := os.ReadFile(j.jwtFile) // each time: Kubernetes renews it
	if err != nil {
		return err
	}
	secret, err := client.Logical().WriteWithContext(ctx, "auth/kubernetes/login", map[string]any{"role": j.role, "jwt": string(jwt)})
	if err != nil {
		return err
	}
	id, err := secret.TokenID()
	client.SetToken(id)
	return err
}

// call calls the API for a user.
func (j *job) call(ctx context.Context, id string) error {
	source, err := tokensource.New(j.store, j.conf, &token.OAuthToken{ID: id}, nil)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, j.api, nil)
	if err != nil {
		return err
	}
	resp, err := source.Client(ctx).Do(req)
	switch {
	case errors.Is(err, tokensource.ErrNeedsReauth):
		slog.WarnContext(ctx, "the user has to log in again", "record", id)
		err = nil
	case err == nil:
		slog.InfoContext(ctx, "called", "record", id, "status", resp.StatusCode)
		err = resp.Body.Close()
	}
	// If the pod is being ended, a refresh that is on is waited for here, and its new tokens are stored.
	return errors.Join(err, source.Flush(context.WithoutCancel(ctx)))
}
