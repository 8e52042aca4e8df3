package scale

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/tokenkeep/tokenkeep/token"
)

const clientID = "1000.ABCDEFGHIJKLMNOPQRSTUVWXYZ2345"

// person returns whose n-th record it is: as a query, and as what an update begins with.
func person(n int) *token.OAuthToken {
	return &token.OAuthToken{UserSignature: token.UserSignature{Name: fmt.Sprintf("user-%06d@example.com:600012345", n)}, ClientID: clientID}
}

// login returns what person n has after a login: texts as long as those that Zoho gives.
func login(n int) *token.OAuthToken {
	p := person(n)
	p.ClientSecret = token.NewSecret(strings.Repeat("b", 42))
	p.APIDomain = "https://www.zohoapis.com"
	p.RefreshToken = secret("refresh", n, 0)
	return refreshed(p, n, 0)
}

// refreshed gives a token the access token of a round.
func refreshed(p *token.OAuthToken, n, round int) *token.OAuthToken {
	p.AccessToken, p.Expiry = secret("access", n, round), time.Now().Add(time.Hour)
	return p
}

// rotated gives a token the refresh token of a round too.
func rotated(p *token.OAuthToken, n, round int) *token.OAuthToken {
	p.RefreshToken = secret("refresh", n, round)
	return refreshed(p, n, round)
}

func secret(kind string, n, round int) token.Secret {
	return token.NewSecret(fmt.Sprintf("1000.%-49s%06d-%09d", kind, n, round))
}

// seeded returns random numbers that are the same in each run.
func seeded(what string) *rand.Rand {
	return rand.New(randomOf(what))
}

// randomOf is a reader of random bytes that are the same in each run.
func randomOf(what string) *rand.ChaCha8 {
	seed := [32]byte{}
	copy(seed[:], what)
	return rand.NewChaCha8(seed)
}
