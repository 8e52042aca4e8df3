package vaultstore

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/tokenkeep/tokenkeep/token/driver"
)

// This file gets a new token when Vault refuses the one that the client has.

// A login gets new tokens, one goroutine at a time.
type login struct {
	do   func(context.Context, *api.Client) error // nil: there is no way to get one
	turn chan struct{}                            // holds a value while somebody logs in

	// What became of the last one; guarded by turn.
	began, ended time.Time
	err          error
}

const (
	// loginEvery bounds how often a refusal that does not speak of the token leads to a
	// login: it may be the policy that refuses, and another token changes nothing then.
	loginEvery   = time.Minute
	loginTimeout = 30 * time.Second
)

// anew gets another token after one was refused. It reports whether there is one now.
func (l *login) anew(ctx context.Context, client *api.Client, refused string, expired bool) (bool, error) {
	came := time.Now()
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	switch {
	case client.Token() != refused:
		return true, nil // somebody was faster
	case !expired && !l.began.IsZero() && time.Since(l.began) < loginEvery:
		return false, nil
	case l.err != nil && l.ended.After(came):
		return false, l.err // somebody tried, and all who waited fail with that
	}
	bounded, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	l.began = time.Now()
	err := l.do(bounded, client)
	l.ended, l.err = time.Now(), err
	if ctx.Err() != nil {
		l.err = nil // that of one caller's context is nothing to the others
	}
	return true, err
}

// failedLogin is the error of a request whose token was refused when no other could be
// had. The cause is the caller's own error, which says what it says.
func failedLogin(ctx context.Context, name string, err error) *driver.Error {
	e := failed(ctx, opLogin, name, err)
	var answer *api.ResponseError
	var network net.Error
	var file *fs.PathError // a token of Kubernetes that is not there: its errno would pass for a network's
	switch {
	case ctx.Err() != nil, passes(e.Kind) && (errors.As(err, &answer) || errors.As(err, &network)) && !errors.As(err, &file):
	default:
		e.Kind = driver.ErrPermission // "invalid role or secret ID" is HTTP 400
	}
	e.Hint = "Options.Login failed"
	return e
}
