package vaultstore

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/vault/api"

	"github.com/tokenkeep/tokenkeep/token/driver"
)

// This file is the border: here Vault's errors become those of package driver, by their
// statuses. Texts are read where a status has several meanings, and never printed:
// proxies echo requests in them.

// Kinds that do not leave this package.
var (
	// errNone: there is nothing at the path.
	errNone = errors.New("nothing there")
	// errMismatch: the current version is not the one that the write names.
	errMismatch = errors.New("the version does not match")
	// errTransient: refused for now, and surely not applied.
	errTransient = errors.New("not now")
)

// failed makes an error of what the client returned.
func failed(ctx context.Context, op, name string, err error) *driver.Error {
	e := &driver.Error{Op: op, Name: name, Cause: err}
	var answer *api.ResponseError
	switch {
	case errors.As(err, &answer):
		e.Code = "HTTP " + strconv.Itoa(answer.StatusCode)
		e.Hint, e.Kind = kindOf(answer.StatusCode, answer.Errors, answer.RawError)
	case ctx.Err() != nil:
		e.Kind = ctx.Err()
	default:
		e.Kind, e.Hint = driver.ErrUnavailable, noAnswerHint
	}
	return e
}

const (
	permissionHint = "docs/vault.md has the least policy"
	expiredHint    = "the token is none, or has expired: Options.Login can get another"
	brokenHint     = "the token has a character that no header takes, such as the end of the line of a file"
	mountHint      = "there is no such mount, or it is none of the KV secrets engine, version 2"
	sizeHint       = "the storage's limit of an entry, such as max_entry_size"
	recoveryHint   = "a cluster for disaster recovery serves nothing: the client's address must be that of the primary"
	behindHint     = "this node is behind"
	noAnswerHint   = "no answer: are the client's address and TLS settings right?"
	foreignHint    = "the answer is none of Vault's"
	wrappedHint    = "the answer is wrapped, as by a control group: a store can do nothing with that"
)

// The texts that tell two meanings of a status apart.
const (
	textMismatch   = "check-and-set parameter did not match the current version"
	textUpgrading  = "from non-versioned to versioned data" // "Upgrading ...", "Waiting for the primary to upgrade ..."
	textRecovery   = "path disabled in replication DR secondary mode"
	textToken      = "invalid token"
	textSealed     = "Vault is sealed"
	textNoLeader   = "active cluster node not found"
	textNoActive   = "no active Vault instance found"
	textOverloaded = "overloaded, try again later"
	textTooLarge   = "value being too large" // Raft's and others' "put failed due to value being too large"
	textTooLong    = "exceeds allowed"       // "JSON string value exceeds allowed length"
)

// kindOf says what a status and its texts mean.
//
// https://developer.hashicorp.com/vault/api-docs#http-status-codes
func kindOf(status int, texts []string, raw bool) (hint string, kind error) {
	says := func(text string) bool {
		return !raw && strings.Contains(strings.Join(texts, "\n"), text)
	}
	switch status {
	case http.StatusBadRequest:
		switch {
		case raw:
			return foreignHint, driver.ErrUnavailable
		case slices.Contains(texts, textMismatch):
			return "", errMismatch
		case says(textUpgrading):
			return "the mount is being upgraded", errTransient
		case says(textRecovery):
			return recoveryHint, errTransient
		}
	case http.StatusUnauthorized, http.StatusForbidden:
		if says(textToken) {
			return expiredHint, driver.ErrPermission
		}
		return permissionHint, driver.ErrPermission
	case http.StatusNotFound:
		switch {
		case raw:
			return foreignHint, driver.ErrUnavailable
		case len(texts) > 0: // "no handler for route ...", "unsupported path"
			return mountHint, driver.ErrInvalid
		}
		return "", errNone // Vault has no words for it
	case http.StatusPreconditionFailed:
		return behindHint, errTransient
	case http.StatusRequestEntityTooLarge:
		return sizeHint, driver.ErrTooLarge
	case http.StatusTooManyRequests:
		return "a rate limit quota", driver.ErrQuota
	case http.StatusInternalServerError:
		switch {
		case says(textNoLeader):
			return "the cluster has no leader", errTransient
		case says(textTooLarge), says(textTooLong):
			return sizeHint, driver.ErrTooLarge
		}
		return "", driver.ErrUnavailable
	case http.StatusServiceUnavailable:
		switch {
		case says(textSealed):
			return textSealed, errTransient
		case says(textNoActive):
			// A standby says so too when the leader was lost to which it had passed the request on.
			return "the cluster has no leader", driver.ErrUnavailable
		case says(textOverloaded):
			return "Vault is overloaded", errTransient
		}
		return "", driver.ErrUnavailable
	case http.StatusRequestTimeout, statusRecovery, statusPerformance:
		return "", driver.ErrUnavailable
	}
	if status > http.StatusInternalServerError || raw {
		return "", driver.ErrUnavailable
	}
	return "check the mount and the client", driver.ErrInvalid
}

// The statuses of a node's health: a secondary for disaster recovery, and a performance
// standby. Something in front of Vault may pass them on.
const (
	statusRecovery    = 472
	statusPerformance = 473
)

// tellsNothing reports whether what came back for a request that was sent leaves open
// whether it was applied: no answer, one that cannot be read, or a failure within Vault
// or of something in between. A 4xx is a refusal, and so are the failures with texts that
// say what was found before the request came to its path.
func tellsNothing(err error) bool {
	var answer *api.ResponseError
	if !errors.As(err, &answer) {
		return true
	}
	status := answer.StatusCode
	_, kind := kindOf(status, answer.Errors, answer.RawError)
	return errors.Is(kind, driver.ErrUnavailable) && (status < 400 || status >= 500 || status == http.StatusRequestTimeout)
}
