// Package codec is the at-rest format: what the secrets of a store hold.
//
// Each secret is one JSON object, readable in the service's console. Its content
// stands at the top level under plain names (a platform that injects one key of
// a secret, as ECS does with "access_token", can use it); beside it stands the
// object "tokenkeep", the [Frame]: format, kind, sequence number, write id and
// the ids of the last writes.
//
//	{"tokenkeep":{"format":1,"kind":"token","seq":2,"write":"…","history":["…"]},
//	 "id":"…","user_name":"…","refresh_token":"…","access_token":"…","expiry_time":1893456000000}
//
// Members that this version does not know are kept when a secret is written
// again, at every level that is an object of this format. A format number higher
// than [Format] is refused. docs/format.md tells the whole format, and the golden
// files under testdata hold it still: a change of one of them is a change of
// format.
//
// No error of this package carries a part of what was decoded; errors of
// encoding/json do, so they are not wrapped.
package codec
