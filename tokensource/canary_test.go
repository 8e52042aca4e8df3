package tokensource_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/tokensource"
	"github.com/tokenkeep/tokenkeep/tokensource/provider"
)

// No token, client secret or user name comes out in an error, in the log, or in the state that a record holds,
// also not from a provider that answers with what it was sent.
func TestNothingSecretComesOut(t *testing.T) {
	echo := func(status int) answer {
		return answer{status: status, body: fmt.Sprintf(`{"error":"bad %s","error_description":"%s %s","error_uri":"%s"}`, refresh, secret, user, refresh)}
	}
	all := []mishap{
		{request: func(*victim) answer { return echo(400) }},
		{request: func(*victim) answer { return echo(500) }},
		{request: func(*victim) answer { return answer{status: 200, body: refresh + secret} }},
		{request: func(*victim) answer {
			return answer{status: 400, body: `{"error":"invalid_grant","error_description":"` + refresh + `"}`}
		}},
	}
	for _, m := range append(append(all, requestMishaps[3:]...), storeMishaps[2:4]...) {
		for at := 1; at < 8; at++ {
			inWorld(t, provider.SingleUse, -time.Minute, func(t *testing.T, w *world) {
				p := w.process()
				v := victimOf(p, m, at)
				defer close(v.over)
				var said []string
				for range 3 {
					tok, err := p.source.Token()
					said = append(said, fmt.Sprintf("%v %+v %#v %s", err, err, err, p.source.Flush(t.Context())))
					if err != nil {
						text, _ := json.Marshal(err)
						said = append(said, string(text))
					}
					p.source.Reject(tok)
					elapse(time.Minute)
				}
				said = append(said, p.said.String(), w.record().Extra[tokensource.StateName].Reveal())
				said = append(said, fmt.Sprintf("%v %+v", p.source.Revoke(t.Context()), w.server.description()))
				for _, text := range said {
					if strings.Contains(text, "canary") || strings.Contains(text, user) {
						t.Errorf("call %d: %s", at, text)
					}
				}
			})
		}
	}
}
