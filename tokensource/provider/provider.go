// Package provider says what is particular about OAuth servers: where their tokens
// come from, what becomes of a refresh token that was used, and what their errors mean.
//
// There is a preset for each of the servers that are used most, such as [Google] and
// [Zoho]; those that take arguments return an error for a bad one. Each cites what it relies on, and
// says what of it is an assumption. Another one is described with a [Provider] of one's own; the zero value is a
// server that follows RFC 6749 and takes each refresh token once, which does no harm with any
// server that is gentler.
package provider

import (
	"net/http"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// A Provider describes an OAuth server. It is never changed once it is in use.
type Provider struct {
	// Name is the provider's in errors and logs.
	Name string

	// Endpoint is used for what the Endpoint of an oauth2.Config leaves empty.
	Endpoint oauth2.Endpoint

	// Rotation says what becomes of a refresh token that was used.
	Rotation Rotation

	// Grace is for how long after its first use a refresh token may be used again, if
	// Rotation is Leeway.
	Grace time.Duration

	// Unleased: two refreshes at once do no harm, so that a refresh need not be announced
	// in the record. It saves a write for each refresh; a crowd of processes that start on
	// an expired token refreshes it as many times. Only a Reusable token can be refreshed so.
	Unleased bool

	// Lifetime is how long an access token is taken to live if the server does not say. Zero:
	// it is taken to live for ever.
	Lifetime time.Duration

	// Extra are the names of what else a response says that is to be kept with the token, what is no
	// text as JSON. id_token, instance_url, id and api_domain are kept always.
	Extra []string

	// Adapt makes of a response what RFC 6749 would have it be: a server that tells lifetimes in
	// milliseconds needs it, for example. It may change t and return it. Its error says that the
	// response is none, and whether the refresh token was spent is not known then. Nil: nothing
	// has to be changed.
	Adapt func(t *oauth2.Token) (*oauth2.Token, error)

	// Judge says what an error response means. Nil: [Standard].
	Judge func(Refusal) Verdict

	// RevokeURL is where a refresh token is revoked as in RFC 7009. Empty: the server cannot.
	RevokeURL string
	// RevokesBearer: what is revoked is the access token that the request is authorized with.
	RevokesBearer bool
}

// Rotation says what becomes of a refresh token that was used.
type Rotation int

const (
	// SingleUse tokens are spent by their first use, which returns another one. A server
	// that sees one again may revoke all that descends from the same login.
	SingleUse Rotation = iota
	// Leeway tokens are spent too, but may be used again for a short time, the Grace.
	Leeway
	// Reusable tokens stay good.
	Reusable
)

// String returns "single-use", "leeway" or "reusable".
func (r Rotation) String() string {
	switch r {
	case Leeway:
		return "leeway"
	case Reusable:
		return "reusable"
	}
	return "single-use"
}

// A Refusal is an error response of a token endpoint.
type Refusal struct {
	// Status is of HTTP: some servers send errors with 200.
	Status int
	// Code and Description are the response's error and error_description.
	Code, Description string
	// Wait is what the response says in Retry-After, 0 if it says nothing.
	Wait time.Duration
}

// A Verdict is what a Refusal means.
type Verdict struct {
	Kind Kind
	// Wait is how long all processes should leave the server alone, if the kind is Later or
	// Misconfigured. It is at most ten minutes; zero stands for half a minute.
	Wait time.Duration
}

// Kind is the kind of a Verdict.
type Kind int

const (
	// Unclear means that the refresh token may have been spent.
	Unclear Kind = iota
	// Dead means that the refresh token is refused for good: it was revoked, has expired, or was spent
	// before, or the user has to log in again for another reason.
	Dead
	// Later means that the server is busy or counts too many requests, and nothing was spent.
	Later
	// Misconfigured means that the server refuses the client or the request, and nothing was spent.
	Misconfigured
)

// Standard judges by RFC 6749, section 5.2, and by the status: 429 is Later, and what is not
// understood is Unclear.
func Standard(r Refusal) Verdict {
	switch strings.ToLower(r.Code) {
	case "invalid_grant":
		return Verdict{Kind: Dead}
	case "invalid_client", "unauthorized_client", "invalid_request", "invalid_scope", "unsupported_grant_type":
		return Verdict{Kind: Misconfigured}
	case "slow_down", "temporarily_unavailable":
		return Verdict{Kind: Later, Wait: r.Wait}
	}
	switch r.Status {
	case http.StatusTooManyRequests:
		return Verdict{Kind: Later, Wait: r.Wait}
	case http.StatusUnauthorized, http.StatusNotFound, http.StatusMethodNotAllowed:
		return Verdict{Kind: Misconfigured}
	}
	if r.Status/100 == 3 { // the address is another one; a source does not follow
		return Verdict{Kind: Misconfigured}
	}
	return Verdict{}
}
