package codec

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Hash stands for a key of a record (a user name, a token) in the index: the
// first 72 bits of an HMAC-SHA-256 under the index's own random key. Nothing in
// clear can be told from it without that key. Among a million keys the chance
// that any two meet is about 10^-10.
type Hash [9]byte

// NewHash hashes a key of a kind, such as the kind "user".
func NewHash(key []byte, kind, value string) Hash {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(kind))
	mac.Write([]byte{0})
	mac.Write([]byte(value))
	return Hash(mac.Sum(nil)[:len(Hash{})])
}

// FirstUnder returns the lowest hash that begins with the bits of a valid prefix.
func FirstUnder(prefix string) (h Hash) {
	for i, bit := range []byte(prefix) {
		h[i/8] |= (bit - '0') << (7 - i%8)
	}
	return h
}

// Under reports whether h begins with the bits of prefix, a text of 0 and 1.
func (h Hash) Under(prefix string) bool {
	for i, bit := range []byte(prefix) {
		if i >= 8*len(h) || h[i/8]>>(7-i%8)&1 != bit-'0' {
			return false
		}
	}
	return true
}

// An Entry says that a record has, or is about to gain, a key.
type Entry struct {
	// Ref names the record: the name of its secret without what all share.
	Ref string
	// Base is the sequence number that the record had when the key was claimed
	// for it; 0: it did not exist.
	Base int64
}

// An Index is an index secret: a leaf, or the root, or, in a small store, both.
type Index struct {
	Frame

	// Key is the HMAC key of the store's hashes. The root has it, leaves do not.
	Key []byte
	// Leaves names the index secret that holds the hashes under each prefix of
	// bits; the prefixes cover every hash of this secret once. The root has it, and a
	// sealed leaf. Where it does not name this secret, the entries here are not changed
	// any more: whoever finds that one of the leaves is missing creates it of them.
	Leaves map[string]string

	// Prefix says which hashes stand in this secret.
	Prefix string
	// Entries are the records of each hash, in the order in which they came to
	// hold the key.
	Entries map[Hash][]Entry
	// Paced says when every tenth write of this secret was, to the second: the last
	// ten times. It tells whether a service that takes so many writes a day will take
	// another one.
	Paced []time.Time
	// Moving: the root's entries belong to leaves that may not exist yet. No other index
	// secret has it, nor has a root that is its own leaf.
	Moving bool
	// Retired are sealed leaves that the root names no more, and since when: their refs,
	// which are their names without what all leaves share. The root has them.
	Retired map[string]time.Time
	// Graves are tombstones that can be removed some time after they were written: the
	// refs, and when that was, to the second. They stand in any of the leaves.
	Graves map[string]time.Time

	unknown members
}

// Root reports whether x is the root of the index.
func (x *Index) Root() bool { return len(x.Key) > 0 }

// Live reports whether the entries of x are those that count. Those of a sealed leaf, and
// of a root that names other leaves, were handed on.
func (x *Index) Live() bool {
	return x.Kind == KindIndex && (!x.Root() || x.Leaves[""] == RootName)
}

// Leaf returns the prefix and the name of the index secret that x names for a hash.
func (x *Index) Leaf(h Hash) (prefix, name string, ok bool) {
	for prefix, name := range x.Leaves {
		if h.Under(prefix) {
			return prefix, name, true
		}
	}
	return "", "", false
}

// Part returns the index secret of a prefix as x hands it on: with those of its entries
// that belong there, and the first one with the graves.
func (x *Index) Part(prefix string) *Index {
	part := &Index{Frame: Frame{Kind: KindIndex}, Prefix: prefix, Entries: make(map[Hash][]Entry)}
	if prefix == x.Prefix || prefix == x.Prefix+"0" {
		part.Graves = maps.Clone(x.Graves)
	}
	for h, list := range x.Entries {
		if h.Under(prefix) && len(list) > 0 {
			part.Entries[h] = slices.Clone(list)
		}
	}
	return part
}

// Clone returns a copy of x that may be changed.
func (x *Index) Clone() *Index {
	c := *x
	c.Leaves, c.Paced = maps.Clone(x.Leaves), slices.Clone(x.Paced)
	c.Graves, c.Retired = maps.Clone(x.Graves), maps.Clone(x.Retired)
	c.Entries = make(map[Hash][]Entry, len(x.Entries)+1)
	for h, list := range x.Entries {
		if len(list) > 0 {
			c.Entries[h] = slices.Clone(list)
		}
	}
	return &c
}

// Format keeps an index from printing its key, whatever the verb: with it, a guess
// of a user name could be tried on the hashes.
func (x Index) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "index(%q)", x.Prefix) }

// LogValue does for log/slog what Format does for fmt.
func (x Index) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(x)) }

// MarshalText does for encoding/json what Format does for fmt.
func (x Index) MarshalText() ([]byte, error) { return fmt.Append(nil, x), nil }

// EncodeIndex returns the value of the secret that holds x. Equal indexes make
// equal values.
func EncodeIndex(x *Index) ([]byte, error) {
	o := x.start()
	if x.Root() {
		o.add("hash_key", x.Key)
	}
	if len(x.Leaves) > 0 {
		o.add("leaves", x.Leaves)
	}
	o.add("prefix", x.Prefix)
	o.add("entries", packEntries(x.Entries))
	addTimes(o, "graves", x.Graves)
	addTimes(o, "retired", x.Retired)
	if x.Moving {
		o.add("moving", true)
	}
	if len(x.Paced) > 0 {
		paced := make([]int64, len(x.Paced))
		for i, at := range x.Paced {
			paced[i] = at.Unix()
		}
		o.add("paced", paced)
	}
	o.addMembers(x.unknown)
	return o.bytes()
}

// addTimes adds refs and their times, in seconds since the epoch.
func addTimes(o *object, name string, times map[string]time.Time) {
	if len(times) == 0 {
		return
	}
	seconds := make(map[string]int64, len(times))
	for ref, at := range times {
		seconds[ref] = at.Unix()
	}
	o.add(name, seconds)
}

// DecodeIndex reads a value that EncodeIndex wrote.
func DecodeIndex(value []byte) (*Index, error) {
	frame, m, err := decode(value)
	if err != nil {
		return nil, err
	}
	if frame.Kind != KindIndex && frame.Kind != KindSealed {
		return nil, fieldError("kind", "is not that of an index")
	}
	x := &Index{Frame: frame}
	d := fields{m: m}
	d.take("hash_key", "a key", &x.Key)
	d.textMap("leaves", &x.Leaves)
	d.text("prefix", &x.Prefix)
	if _, ok := m["entries"]; !ok {
		return nil, fieldError("entries", "is missing")
	}
	var entries string
	d.text("entries", &entries)
	x.Graves, x.Retired = d.times("graves"), d.times("retired")
	d.truth("moving", &x.Moving)
	var paced []int64
	d.take("paced", "a list of whole numbers", &paced)
	if d.err != nil {
		return nil, d.err
	}
	for _, seconds := range paced {
		x.Paced = append(x.Paced, time.Unix(seconds, 0).UTC())
	}
	x.unknown = m
	if !validPrefix(x.Prefix) {
		return nil, fieldError("prefix", "is not of bits")
	}
	switch sealed := frame.Kind == KindSealed; {
	case x.Root() && (sealed || x.Prefix != ""):
		return nil, fieldError("hash_key", "is where it cannot be")
	case !x.Root() && !sealed && len(x.Leaves) > 0:
		return nil, fieldError("hash_key", "is missing")
	case x.Root() || sealed:
		if err := checkLeaves(x.Prefix, x.Leaves); err != nil {
			return nil, err
		}
	}
	if x.Moving && (!x.Root() || x.Live()) {
		return nil, fieldError("moving", "is where it cannot be")
	}
	if x.Entries, err = unpackEntries(entries, x.Prefix); err != nil {
		return nil, err
	}
	return x, nil
}

// MaxPrefix is the length of the longest prefix, in bits: far more leaves than any
// service has secrets.
const MaxPrefix = 48

func validPrefix(prefix string) bool {
	return len(prefix) <= MaxPrefix && strings.Trim(prefix, "01") == ""
}

// times takes refs and their times, in seconds since the epoch.
func (d *fields) times(name string) map[string]time.Time {
	var raw json.RawMessage
	d.take(name, "an object", &raw)
	if raw == nil || d.err != nil {
		return nil
	}
	m, err := decodeObject(raw)
	if err != nil {
		d.err = fieldError(name, "is not an object")
		return nil
	}
	each := fields{m: m}
	graves := make(map[string]time.Time, len(m))
	for _, ref := range slices.Collect(maps.Keys(m)) {
		var seconds int64
		if each.number(ref, &seconds); each.err != nil || !ValidRef(ref) {
			d.err = fieldError(name, "has a member that is no record and its time")
			return nil
		}
		graves[ref] = time.Unix(seconds, 0).UTC()
	}
	return graves
}

// checkLeaves makes sure that every hash under a prefix has one leaf. Sorted, the
// prefixes have to tile the line of those hashes from end to end.
func checkLeaves(under string, leaves map[string]string) error {
	next, _ := strconv.ParseUint(pad(under), 2, 64) // it was checked
	end := next + 1<<(MaxPrefix-len(under))
	for _, prefix := range slices.SortedFunc(maps.Keys(leaves), func(a, b string) int {
		return strings.Compare(pad(a), pad(b))
	}) {
		start, err := strconv.ParseUint(pad(prefix), 2, 64)
		if !validPrefix(prefix) || err != nil || start != next || leaves[prefix] == "" {
			return fieldError("leaves", "does not name one leaf for each hash")
		}
		next += 1 << (MaxPrefix - len(prefix))
	}
	if next != end {
		return fieldError("leaves", "does not name one leaf for each hash")
	}
	return nil
}

func pad(prefix string) string {
	return prefix + strings.Repeat("0", max(0, MaxPrefix-len(prefix)))
}
