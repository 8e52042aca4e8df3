package gcpsm

import (
	"bytes"
	"context"
	"errors"
	"hash/crc32"
	"strconv"
	"unicode/utf8"

	secretmanagerpb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"

	"github.com/tokenkeep/tokenkeep/internal/rule"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

// This file is the append log that a secret is, and how it is read.
//
// AddSecretVersion has no precondition. It has numbers: the versions of a secret are
// 1, 2, 3 and so on, in the order in which the service took them. So each payload
// says how many its writer had seen:
//
//	{"seen":41,"id":...
//
// and version n is valid if and only if its payload says n-1: nobody came between
// what its writer had read and what it wrote. A write that came too late stands in
// the log with a wrong number and is void, for ever and for everybody. The secret's
// value is that of the head, the highest valid version.
//
// Reads go by number, since those are current: "adding a secret version and then
// immediately accessing that secret version by version number is a strongly
// consistent operation"; `latest` may be hours behind, and is a hint.
//
// https://docs.cloud.google.com/secret-manager/docs/reference/consistency
//
// Below the head everything may be destroyed: see destroy. docs/consistency.md of the
// repository has the argument why this is a compare-and-set.

const seenKey = `{"seen":`

// payload puts the number of versions that were seen into a value.
func payload(seen int64, value []byte) []byte {
	p := make([]byte, 0, len(value)+maxSeen)
	p = append(p, seenKey...)
	p = strconv.AppendInt(p, seen, 10)
	rest := value[1:]
	if !bytes.HasPrefix(bytes.TrimLeft(rest, " \t\r\n"), []byte("}")) {
		p = append(p, ',')
	}
	return append(p, rest...)
}

// maxSeen is how many bytes payload adds at most.
const maxSeen = len(seenKey) + len("9223372036854775807")

// parse is the inverse of payload; ok is false for what it cannot have made.
func parse(p []byte) (seen int64, value []byte, ok bool) {
	rest, ours := bytes.CutPrefix(p, []byte(seenKey))
	if !ours || !utf8.Valid(p) {
		return 0, nil, false
	}
	end := bytes.IndexFunc(rest, func(c rune) bool { return c < '0' || c > '9' })
	if end < 1 || end > 1 && rest[0] == '0' {
		return 0, nil, false
	}
	seen, err := strconv.ParseInt(string(rest[:end]), 10, 64)
	if err != nil {
		return 0, nil, false
	}
	rest = bytes.TrimPrefix(rest[end:], []byte(","))
	return seen, append([]byte("{"), rest...), true
}

// A slot is what one number of a log holds.
type slot struct {
	state state
	value []byte // of a valid version
	tag   string // of a valid or void version
	hint  string // what an operator can do about it
}

type state int

const (
	none    state = iota // there is no such number, or none that is seen yet
	valid                // a value of the secret
	void                 // a write that came too late
	foreign              // not written by this package
	shut                 // it exists, and nobody can say whether it is valid: destroyed, disabled, or damaged
)

// slotOf says what a payload is at number n.
func slotOf(n int64, p []byte) slot {
	seen, value, ok := parse(p)
	switch {
	case !ok:
		return slot{state: foreign, hint: foreignHint(n)}
	case seen == n-1 || rule.Off(rule.CAS):
		return slot{state: valid, value: value, tag: tagOf(value)}
	}
	return slot{state: void, tag: tagOf(value)}
}

func foreignHint(n int64) string {
	return "version " + strconv.FormatInt(n, 10) + " was not written by tokenkeep"
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(p []byte) *int64 {
	sum := int64(crc32.Checksum(p, castagnoli))
	return &sum
}

// A reading is one Get of one secret, or one look of a Put. It asks for no number
// twice, but for those that do not exist.
type reading struct {
	d     *Driver
	name  string
	slots map[int64]slot
	// latest is what the service called so, when it was asked; 0 if there was none.
	latest int64
	asked  bool
}

func (d *Driver) reading(name string) *reading {
	return &reading{d: d, name: name, slots: make(map[int64]slot)}
}

// slot reads one number.
func (r *reading) slot(ctx context.Context, n int64) (slot, error) {
	if s, ok := r.slots[n]; ok && s.state != none {
		return s, nil
	}
	_, s, err := r.access(ctx, strconv.FormatInt(n, 10), n)
	if err != nil {
		return slot{}, err
	}
	r.slots[n] = s
	return s, nil
}

// ask asks what `latest` is, which is not more than a hint. It stays 0 if there is none.
func (r *reading) ask(ctx context.Context) error {
	n, s, err := r.access(ctx, "latest", 0)
	r.asked = true
	switch {
	case err != nil:
		return err
	case s.state == shut && n == 0:
		// It is a version that cannot be read, and the answer did not say which.
		out, e := r.d.versionOf(ctx, r.name, "latest")
		if e != nil && !errors.Is(e.Kind, errNone) {
			return e
		}
		n = numberOf(out.GetName())
	case s.state != none:
		r.slots[n] = s
	}
	r.latest = n
	return nil
}

// versionOf reads what the service says of a version, but for its value.
func (d *Driver) versionOf(ctx context.Context, name, version string) (*secretmanagerpb.SecretVersion, *driver.Error) {
	req := &secretmanagerpb.GetSecretVersionRequest{Name: d.version(name, version)}
	return call(ctx, d, opGetVersion, name, req, d.client.GetSecretVersion)
}

// access reads one version; n is its number if that is known. A payload that does not
// have its checksum is asked for again: it can have suffered on the way.
func (r *reading) access(ctx context.Context, version string, n int64) (int64, slot, error) {
	req := &secretmanagerpb.AccessSecretVersionRequest{Name: r.d.version(r.name, version)}
	for try := 0; ; try++ {
		out, e := call(ctx, r.d, opAccess, r.name, req, r.d.client.AccessSecretVersion)
		if e != nil {
			s, err := ofOne(e, version)
			return n, s, err
		}
		number, p := numberOf(out.GetName()), out.GetPayload()
		if n == 0 {
			n = number
		}
		switch {
		case number == 0, number != n, p == nil: // of something in between
			return 0, slot{}, &driver.Error{Op: opAccess, Name: r.name, Kind: driver.ErrUnavailable, Hint: "the answer is not that version"}
		case p.DataCrc32C == nil || *p.DataCrc32C == *checksum(p.GetData()):
			return n, slotOf(n, p.GetData()), nil
		case try == checksumTries:
			return n, slot{state: shut, hint: "the checksum of version " + strconv.FormatInt(n, 10) + " is wrong"}, nil
		}
	}
}

// checksumTries is how often a payload with a wrong checksum is read again.
const checksumTries = 2

// ofOne makes a slot of an error that is the version's, and returns the others.
func ofOne(e *driver.Error, version string) (slot, error) {
	switch {
	case errors.Is(e.Kind, errNone):
		return slot{state: none}, nil
	case errors.Is(e.Kind, errDestroyed):
		return slot{state: shut, hint: "version " + version + " is destroyed, which only a newer one may cause"}, nil
	case errors.Is(e.Kind, errDisabled):
		return slot{state: shut, hint: "version " + version + " is disabled: enable it"}, nil
	}
	return slot{}, e
}

// newest returns the highest number that exists, given one that does, or 0: the one
// above it does not. Where that is far, it asks what `latest` is, and takes growing steps
// if that is behind too.
func (r *reading) newest(ctx context.Context, low int64) (int64, error) {
	exists := func(n int64) (bool, error) {
		s, err := r.slot(ctx, n)
		return s.state != none, err
	}
	step := int64(1)
	for i := 0; ; i++ {
		switch {
		case i == 2 && !r.asked:
			if err := r.ask(ctx); err != nil {
				return 0, err
			}
			low = max(low, r.latest)
		case i >= 2:
			step *= 2
		}
		found, err := exists(low + step)
		if err != nil {
			return 0, err
		}
		if !found {
			break
		}
		low += step
	}
	for high := low + step; high-low > 1; {
		middle := (low + high) / 2
		found, err := exists(middle)
		if err != nil {
			return 0, err
		}
		if found {
			low = middle
		} else {
			high = middle
		}
	}
	return low, nil
}

// errAnew: what is known of a log is not there. It was deleted, and may have been
// created again, with numbers that begin at 1.
var errAnew = errors.New("the log began anew")

// read reads a secret. The answer is current in one place at least: the number above
// those that were read does not exist. Only for a list, `latest` will do.
func (d *Driver) read(ctx context.Context, how driver.Freshness, have driver.Item) (driver.Item, error) {
	r := d.reading(have.Name)
	known, lately := d.logs.recall(have)
	held := lately && how != driver.Fresh && have.Value != nil && have.Revision == known.revision()
	for {
		if !held && (how != driver.Any || !lately) {
			if err := r.ask(ctx); err != nil {
				return driver.Item{}, err
			}
		}
		l, s, err := r.find(ctx, how, known, held)
		if errors.Is(err, errAnew) {
			d.logs.forget(have.Name)
			known, held, lately, r.slots = log{}, false, false, make(map[int64]slot)
			continue
		}
		item := driver.Item{Name: have.Name}
		switch {
		case err != nil:
			return item, err
		case (s.state == foreign || s.state == shut) && known.top > 0:
			// In a log that began anew, what is known of the old one hides the head.
			known, held, lately = log{}, false, false
			continue
		case s.state == foreign, s.state == shut:
			item.Err = &driver.Error{Op: opAccess, Name: have.Name, Kind: driver.ErrCorrupt, Hint: s.hint}
			return item, nil
		}
		d.logs.learn(have.Name, l, !held || l.head != known.head)
		switch {
		case l.head == 0: // absent
		case held && l.head == known.head:
			item.Revision, item.Value = have.Revision, have.Value
		default:
			item.Revision, item.Value = revisionOf(l.head, l.tag), s.value
		}
		return item, nil
	}
}

// find finds the head, beginning at what is known. Held says that the caller has the
// value of the known head. Instead of a head it may return a slot that stands in the
// way: nobody can tell whether it is the head.
func (r *reading) find(ctx context.Context, how driver.Freshness, known log, held bool) (log, slot, error) {
	if s := r.slots[r.latest]; how == driver.Lax && !held && s.state == valid && r.latest >= known.head {
		return log{head: r.latest, tag: s.tag, top: r.latest}, s, nil
	}
	top := max(known.top, r.latest)
	for {
		var err error
		if top, err = r.newest(ctx, top); err != nil {
			return log{}, slot{}, err
		}
		l, s, err := r.head(ctx, known, top, held)
		if err != nil || s.state != foreign && s.state != shut {
			return l, s, err
		}
		higher, err := r.passed(ctx, top)
		if err != nil || higher == 0 {
			return l, s, err
		}
		top = max(top, higher)
	}
}

// passed looks for a number that this reading has passed, while it found a version that
// nobody can read: a newer head whose writer has destroyed what is below it. It may have
// been added since, or have come to a number that was given out before, or stand above
// numbers that are burnt.
func (r *reading) passed(ctx context.Context, top int64) (int64, error) {
	numbers := []int64{}
	for n := top + holes; n > 0; n-- {
		if _, asked := r.slots[n]; n > top || asked {
			numbers = append(numbers, n)
		}
	}
	for _, n := range numbers {
		if r.slots[n].state != none {
			continue
		}
		if s, err := r.slot(ctx, n); err != nil || s.state != none {
			return n, err
		}
	}
	return 0, nil
}

// holes is how many burnt numbers in a row a reading looks beyond.
const holes = 8

// head walks down from the newest version to the highest valid one.
func (r *reading) head(ctx context.Context, known log, top int64, held bool) (log, slot, error) {
	settled := top
	for n := top; n > 0; n-- {
		if n <= known.top && n > known.head {
			n = known.head // those between are void
		}
		if n == 0 {
			break
		}
		if n == known.head && held {
			return log{head: n, tag: known.tag, top: settled}, slot{}, nil
		}
		s, err := r.slot(ctx, n)
		switch {
		case err != nil:
			return log{}, slot{}, err
		case n == known.head && s.state != shut && (s.state != valid || s.tag != known.tag):
			return log{}, slot{}, errAnew
		case s.state == valid:
			return log{head: n, tag: s.tag, top: settled}, s, nil
		case s.state == foreign, s.state == shut:
			return log{}, s, nil
		case s.state == none:
			// A gap: whoever has this number may still be on the way. This read is older
			// than that write, then; a Put that builds on it has to wait for the gap.
			settled = n - 1
		}
	}
	return log{top: settled}, slot{}, nil
}
