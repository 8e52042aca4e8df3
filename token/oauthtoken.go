// Package token keeps OAuth tokens in the secret manager that a company already
// trusts.
//
// [Store] is the store; package awssm makes one in AWS Secrets Manager, package
// memstore one in memory. It finds, saves, deletes and lists [OAuthToken] by id,
// user, refresh, grant or access token, for any number of processes at once, with
// no database, no lock and no disk.
//
// Which record a query means, and what an update keeps, is told at
// [Store.FindToken] and [Store.SaveToken]. Why no duplicate and no lost update can
// happen is told in docs/consistency.md of the repository.
package token

import "time"

// An OAuthToken is one record: the tokens that one user of one OAuth client has.
//
// A field that is empty is absent: a query does not ask for it, and a save keeps
// what is stored. All texts are compared byte for byte.
type OAuthToken struct {
	// ID is given by the store when the token is first saved, or chosen by the
	// caller: any UTF-8 text of 1 to 256 bytes without control characters. It is
	// not a secret and must not hold one: errors and logs may show it.
	ID string

	// UserSignature says who the token belongs to. The same user under two
	// clients has two records.
	UserSignature UserSignature

	// ClientID is the OAuth client's. ClientSecret is kept with the token
	// so that whoever finds it can refresh it.
	ClientID     string
	ClientSecret Secret

	// GrantToken is the one-time authorization code. It is kept after its use,
	// since it stays a key that the record is found by.
	GrantToken   Secret
	RefreshToken Secret
	AccessToken  Secret

	// Expiry is when AccessToken expires, with a precision of milliseconds. The
	// zero time: not known.
	Expiry time.Time

	RedirectURL string
	APIDomain   string
	TokenType   string
	Scopes      []string

	// Extra is what else the provider returned, such as id_token or
	// instance_url. Its values are treated as secrets. A save merges it key by
	// key; an empty value keeps what is stored. Names that begin with tokenkeep. are this
	// library's own: SaveToken leaves them as they are in a record that is there already.
	Extra map[string]Secret
}

// A UserSignature names a user. Zoho's SDKs write mail:orgid.
type UserSignature struct {
	Name string
}
