package codec

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"maps"
	"slices"
	"strings"
)

// This file packs the entries of an index secret. An index secret is 64 KiB at most, so
// brevity is room for tokens: a record that was not there when its key was claimed takes
// 22 bytes, which base64 makes 30 characters.
//
// Entries stand one after the other, those of one hash in their order, and the hashes in
// ascending order. Each is the hash; the ref, as packRef makes it; and, if the base is not
// zero, the base as an unsigned varint (encoding/binary).

// The lowest four bits of the 13th byte of a packed ref are flags: a ref has 100 bits.
const (
	flagBase   = 8 // the base follows the ref
	flagChosen = 4 // a ref of an id that somebody chose: its other 100 bits follow
	flagBits   = 15
)

const halfRef = 13 // bytes

// MaxBase is the highest base of an entry that can be read: a record that is overtaken has a
// higher seq yet.
const MaxBase = maxSeq/2 - 1

func packEntries(entries map[Hash][]Entry) string {
	var b []byte
	for _, h := range slices.SortedFunc(maps.Keys(entries), Hash.Compare) {
		for _, e := range entries[h] {
			b = append(b, h[:]...)
			b = packRef(b, e)
			if e.Base > 0 {
				b = binary.AppendUvarint(b, uint64(e.Base))
			}
		}
	}
	return base64.StdEncoding.EncodeToString(b)
}

// Compare orders hashes by their bytes.
func (h Hash) Compare(o Hash) int { return bytes.Compare(h[:], o[:]) }

func packRef(b []byte, e Entry) []byte {
	var flags byte
	if e.Base > 0 {
		flags |= flagBase
	}
	chosen := ChosenRef(e.Ref)
	if chosen {
		flags |= flagChosen
	}
	b = append(b, refBits(e.Ref[:madeRefLen])...)
	b[len(b)-1] |= flags
	if chosen {
		b = append(b, refBits(e.Ref[madeRefLen:])...)
	}
	return b
}

// refBits returns the 100 bits of 20 characters of a ref.
func refBits(part string) []byte {
	b, _ := base32Lower.DecodeString(part + "aaaa") // base32 comes in eights
	return b[:halfRef]
}

// unpackEntries reads what packEntries wrote: the entries of hashes under a prefix.
func unpackEntries(text, prefix string) (map[Hash][]Entry, error) {
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") { // which the decoder passes over
		return nil, fieldError("entries", "is not base64")
	}
	entries := make(map[Hash][]Entry, len(b)/(len(Hash{})+halfRef))
	var last Hash
	for len(b) > 0 {
		var h Hash
		n := copy(h[:], b)
		e, rest, ok := unpackEntry(b[n:])
		switch {
		case !ok:
			return nil, fieldError("entries", "ends within an entry, or has one that is none")
		case !h.Under(prefix):
			return nil, fieldError("entries", "has a hash that does not belong here")
		case h.Compare(last) < 0:
			return nil, fieldError("entries", "is not in order")
		case slices.ContainsFunc(entries[h], func(o Entry) bool { return o.Ref == e.Ref }):
			return nil, fieldError("entries", "names a record twice under one hash")
		}
		entries[h] = append(entries[h], e)
		last, b = h, rest
	}
	return entries, nil
}

// unpackEntry reads what follows a hash.
func unpackEntry(b []byte) (e Entry, rest []byte, ok bool) {
	flags, ok := takeRef(&b, &e)
	if !ok || flags&^(flagBase|flagChosen) != 0 {
		return e, nil, false
	}
	if flags&flagChosen != 0 {
		if more, ok := takeRef(&b, &e); !ok || more != 0 {
			return e, nil, false
		}
	}
	if flags&flagBase != 0 {
		base, n := binary.Uvarint(b)
		if n <= 0 || base < 1 || base > MaxBase || n != len(binary.AppendUvarint(nil, base)) {
			return e, nil, false
		}
		e.Base, b = int64(base), b[n:]
	}
	return e, b, true
}

// takeRef adds 20 characters to the ref of an entry.
func takeRef(b *[]byte, e *Entry) (flags byte, ok bool) {
	if len(*b) < halfRef {
		return 0, false
	}
	var bits [halfRef]byte
	copy(bits[:], *b)
	*b = (*b)[halfRef:]
	flags = bits[halfRef-1] & flagBits
	bits[halfRef-1] &^= flagBits
	e.Ref += base32Lower.EncodeToString(bits[:])[:madeRefLen]
	return flags, true
}
