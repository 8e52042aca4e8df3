package zohofile

import "fmt"

// identities are the rows so far, by what a store would find their records by.
type identities struct {
	ids    map[string]int
	claims map[claim]int // the line of the first row
}

// A claim is that a row has a value as a key, under a client and for a user.
// Any row is filed under four claims: with its own client and user, with any, and
// with one of each.
type claim struct {
	key                column
	value              string
	client, user       string
	anyClient, anyUser bool
}

func newIdentities() *identities {
	return &identities{ids: map[string]int{}, claims: map[claim]int{}}
}

// add files a row, or refuses it if it is the same record as an earlier one.
//
// Two rows are one record if they have one id, or if a store that saves both
// would have the second update the first: their clients are compatible (equal,
// or one has none), and they have the same user, or share a token and do not
// have different users.
func (ids *identities) add(rec record, line int) error {
	if rec[id] != "" {
		if first, ok := ids.ids[rec[id]]; ok {
			return duplicate(line, id, first)
		}
		ids.ids[rec[id]] = line
	}
	for _, key := range []column{userName, refreshToken, grantToken, accessToken} {
		if rec[key] == "" {
			continue
		}
		if first, ok := ids.find(key, rec); ok {
			return duplicate(line, key, first)
		}
		ids.file(key, rec, line)
	}
	return nil
}

func duplicate(line int, c column, first int) error {
	return &Error{Line: line, Column: names[c],
		Reason: fmt.Sprintf("the same record as in line %d: delete one of the two", first)}
}

// find returns the line of an earlier row with the same value for key, a
// compatible client, and no different user. No client, or no user, fits any.
func (ids *identities) find(key column, rec record) (line int, ok bool) {
	clients := []claim{{anyClient: true}}
	if rec[clientID] != "" {
		clients = []claim{{client: rec[clientID]}, {}}
	}
	users := []claim{{anyUser: true}}
	if rec[userName] != "" {
		users = []claim{{user: rec[userName]}, {}}
	}
	for _, c := range clients {
		for _, u := range users {
			c.key, c.value = key, rec[key]
			c.user, c.anyUser = u.user, u.anyUser
			if first, found := ids.claims[c]; found && (!ok || first < line) {
				line, ok = first, true
			}
		}
	}
	return line, ok
}

// file enters a row under its four claims.
func (ids *identities) file(key column, rec record, line int) {
	own := claim{key: key, value: rec[key], client: rec[clientID], user: rec[userName]}
	for _, anyClient := range []bool{false, true} {
		for _, anyUser := range []bool{false, true} {
			c := own
			if anyClient {
				c.client, c.anyClient = "", true
			}
			if anyUser {
				c.user, c.anyUser = "", true
			}
			if _, ok := ids.claims[c]; !ok {
				ids.claims[c] = line
			}
		}
	}
}
