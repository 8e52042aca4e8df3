package scale

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tokenkeep/tokenkeep/codec"
)

// fill puts the secrets of so many people, and an index of them, as growth leaves it: a
// leaf is split where it does not fit. It makes no calls that count. What growth leaves
// besides, sealed leaves and dead entries, is what the scenarios are about that save all
// they have.
func (r *run) fill(people int) {
	r.Helper()
	r.operator(true)
	defer r.operator(false)
	random := randomOf("fill")
	hashKey := make([]byte, 32)
	_, _ = io.ReadFull(random, hashKey)
	b := &builder{run: r, random: random, hashKey: hashKey, queue: make(chan secretValue)}
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for s := range b.queue {
				if err := r.put(r.Context(), s.name, s.value); err != nil {
					r.Errorf("secret %s: %v", s.name, err)
				}
			}
		})
	}
	entries := make([]placed, 0, 2*people)
	for n := range people {
		rec := b.record(n)
		for kind, value := range map[string]string{"user": rec.UserName, "refresh": rec.RefreshToken} {
			entries = append(entries, placed{codec.NewHash(hashKey, kind, value), codec.Entry{Ref: codec.RefOf(rec.ID)}})
		}
	}
	slices.SortFunc(entries, func(x, y placed) int { return strings.Compare(string(x.hash[:]), string(y.hash[:])) })
	root := &codec.Index{Frame: b.frame(codec.KindIndex), Key: hashKey, Leaves: map[string]string{"": codec.RootName}}
	if root.Entries = ofAll(entries); !b.fits(root, len(entries)) {
		root.Entries, root.Leaves = nil, map[string]string{}
		b.leaves(root.Leaves, "0", entries)
		b.leaves(root.Leaves, "1", entries)
	}
	b.queue <- secretValue{codec.RootName, b.encoded(root)}
	close(b.queue)
	wg.Wait()
	r.forget()
	r.began = time.Now()
	r.progress("%d tokens are there, index %+v", people, shapeOf(r, r.service))
}

type placed struct {
	hash  codec.Hash
	entry codec.Entry
}

type secretValue struct {
	name  string
	value []byte
}

// A builder makes the secrets of a store.
type builder struct {
	*run
	random  io.Reader
	hashKey []byte
	queue   chan secretValue
}

func (b *builder) frame(kind codec.Kind) codec.Frame {
	id, err := codec.NewWriteID(b.random)
	if err != nil {
		b.Fatal(err)
	}
	return codec.Frame{}.Next(kind, id)
}

func (b *builder) newID() string {
	id, err := codec.NewID(b.random, b.hashKey, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	return id
}

func (b *builder) record(n int) *codec.Record {
	p := login(n)
	rec := &codec.Record{
		Frame: b.frame(codec.KindToken), ID: b.newID(), UserName: p.UserSignature.Name, ClientID: p.ClientID,
		ClientSecret: p.ClientSecret.Reveal(), RefreshToken: p.RefreshToken.Reveal(), AccessToken: p.AccessToken.Reveal(),
		Expiry: p.Expiry, APIDomain: p.APIDomain,
	}
	value, err := codec.EncodeRecord(rec)
	if err != nil {
		b.Fatal(err)
	}
	b.queue <- secretValue{codec.NameOf(codec.RefOf(rec.ID)), value}
	return rec
}

// leaves makes the leaves of a prefix, and names them.
func (b *builder) leaves(names map[string]string, prefix string, entries []placed) {
	within := slices.Clone(entries)
	within = slices.DeleteFunc(within, func(p placed) bool { return !p.hash.Under(prefix) })
	leaf := &codec.Index{Frame: b.frame(codec.KindIndex), Prefix: prefix, Entries: ofAll(within)}
	if !b.fits(leaf, len(within)) {
		b.leaves(names, prefix+"0", within)
		b.leaves(names, prefix+"1", within)
		return
	}
	names[prefix] = fmt.Sprintf("%s-%s", codec.RootName, b.newID())
	b.queue <- secretValue{names[prefix], b.encoded(leaf)}
}

func ofAll(entries []placed) map[codec.Hash][]codec.Entry {
	m := make(map[codec.Hash][]codec.Entry, len(entries))
	for _, p := range entries {
		m[p.hash] = append(m[p.hash], p.entry)
	}
	return m
}

// fits reports whether an index secret has room for what it holds, its seal and its
// history.
func (b *builder) fits(x *codec.Index, entries int) bool {
	room := 64*1024 - 1024
	if b.name() == "Vault" {
		room = 256*1024 - 1024
	}
	return entries < room/20 && len(b.encoded(x)) < room
}

func (b *builder) encoded(x *codec.Index) []byte {
	value, err := codec.EncodeIndex(x)
	if err != nil {
		b.Fatal(err)
	}
	return value
}
