package tokensource

import (
	"encoding/binary"
	"hash/fnv"
	"time"
)

// When an access token is renewed: some time before it expires, so that nobody ever waits for
// one, and each process at a moment of its own, so that the first one is alone.
const (
	shortestWindow = time.Minute
	longestWindow  = 10 * time.Minute
	// margin is for how long at least a token is good when it is returned: what x/oauth2 asks for.
	margin = 10 * time.Second
	// usualLifetime is that of a token that does not say.
	usualLifetime = time.Hour
	// unknown is how long a token that does not say when it expires is returned before the
	// record is read again.
	unknown = 10 * time.Minute
)

// window is how long before its expiry a token of this lifetime is renewed at the latest.
func window(lifetime time.Duration) time.Duration {
	if lifetime <= 0 {
		lifetime = usualLifetime
	}
	w := min(max(lifetime/10, shortestWindow), longestWindow)
	return min(w, lifetime/4) // with the jitter, half of the lifetime at most
}

// jitter is a number from 0 to 1 that a process has for one generation of a record. It is no
// fresh draw for each call: of many draws the earliest would count.
func jitter(instance, id string, generation int64) float64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(instance + "\x00" + id + "\x00"))
	_ = binary.Write(h, binary.LittleEndian, generation)
	// The upper bits of FNV hardly depend on the last bytes: mix them (the finalizer of
	// MurmurHash3).
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return float64(x>>11) / (1 << 53)
}
