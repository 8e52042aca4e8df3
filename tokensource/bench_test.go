package tokensource_test

import (
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/tokenkeep/tokenkeep/tokensource/provider"
)

// BenchmarkTokenWarm measures Token while the token is good, and x/oauth2's own source beside it.
func BenchmarkTokenWarm(b *testing.B) {
	b.Run("tokensource", func(b *testing.B) {
		w := newWorld(b, newServer(provider.SingleUse), time.Hour)
		s := w.process().source
		if _, err := s.Token(); err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			if tok, err := s.Token(); tok == nil || err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("oauth2.ReuseTokenSource", func(b *testing.B) {
		s := oauth2.ReuseTokenSource(&oauth2.Token{AccessToken: "a", Expiry: time.Now().Add(time.Hour)}, nil)
		b.ReportAllocs()
		for b.Loop() {
			if tok, err := s.Token(); tok == nil || err != nil {
				b.Fatal(err)
			}
		}
	})
}

// A warm Token allocates nothing.
func TestAWarmTokenAllocatesNothing(t *testing.T) {
	w := newWorld(t, newServer(provider.SingleUse), time.Hour)
	p := w.process()
	p.token()
	if n := testing.AllocsPerRun(1000, func() { _, _ = p.source.Token() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
