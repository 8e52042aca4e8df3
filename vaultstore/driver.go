package vaultstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/hashicorp/vault/api"

	"github.com/tokenkeep/tokenkeep/token/driver"
)

// The operations of the engine.
const (
	opGet     = "GET data"
	opPut     = "PUT data"
	opDelete  = "DELETE metadata"
	opDestroy = "PUT destroy"
	opList    = "LIST metadata"
	opAsk     = "GET metadata"
	opConfig  = "GET config"
	opMount   = "GET sys/internal/ui/mounts"
	opLogin   = "login"
)

// maxValue is the largest value, in bytes. Raft takes entries of 1 MiB and Consul of
// 512 KiB, and a value is escaped as a JSON string in them.
//
// https://developer.hashicorp.com/vault/docs/internals/limits
const maxValue = 256 * 1024

// atOnce is how many secrets one Get reads at the same time.
const atOnce = 16

// member is the name under which a secret holds its value, as one string: Vault would
// write the members of an object anew, in another order.
const member = "value"

// A Driver is a driver.Driver on a KV version 2 mount. It is safe for concurrent use.
//
// Revisions are version numbers with a tag. A Put is one check-and-set, which the active
// node decides under a lock of the key; if it has to be repeated, or is refused for
// another version, the outcome is read from the one version that the write makes. Calls
// are repeated until Vault answers or the context ends: give it a deadline.
type Driver struct {
	client *api.Client
	mount  string
	prefix string
	login  login

	written written

	// mountKnown: the mount is one of version 2, whose versions do not vanish.
	mountKnown atomic.Bool
	// keeps is how many versions the mount keeps of a secret, 0 if nobody has asked yet.
	keeps     atomic.Int64
	vanishing vanishing
	replaced  replaced
}

var _ driver.Driver = (*Driver)(nil)

// NewDriver returns the driver below the store of [New], whose comment says what the
// arguments may be.
func NewDriver(client *api.Client, mount, prefix string, opts *Options) (*Driver, error) {
	if client == nil {
		return nil, fmt.Errorf("vaultstore: %w: the client is nil", driver.ErrInvalid)
	}
	if err := errors.Join(checkPath("mount", mount, maxMount), checkPath("prefix", prefix, maxPrefix)); err != nil {
		return nil, err
	}
	d := &Driver{client: client, mount: mount, prefix: prefix}
	d.login.turn = make(chan struct{}, 1)
	if opts != nil {
		d.login.do = opts.Login
	}
	return d, nil
}

// A secret is what Vault answers to a read of a version.
type secret struct {
	wrapped
	Data *struct {
		Data     map[string]any `json:"data"`
		Metadata *metadata      `json:"metadata"`
	} `json:"data"`
}

// A wrapped answer is kept by Vault, for whoever has its token. That of a control group is
// not even made before somebody allows it.
type wrapped struct {
	Info json.RawMessage `json:"wrap_info"`
}

func (w wrapped) is() bool { return len(w.Info) > 0 && string(w.Info) != "null" }

// Metadata is what Vault answers of a version.
type metadata struct {
	Version      json.Number `json:"version"`
	DeletionTime string      `json:"deletion_time"`
	Destroyed    bool        `json:"destroyed"`
}

func (m *metadata) number() int64 {
	if m == nil {
		return 0
	}
	n, _ := strconv.ParseInt(m.Version.String(), 10, 64)
	return n
}

// readVersion reads a version of a secret, 0 being the current one. A version that was
// deleted or destroyed has metadata and no value. W is the write that is looked for, if it
// is one.
func (d *Driver) readVersion(ctx context.Context, how driver.Freshness, w *write, name string, number int64) (value string, m *metadata, e *driver.Error) {
	r := request{op: opGet, name: name, method: http.MethodGet, path: d.path("data", name), how: how}
	if w != nil {
		r.looks, r.began = &w.seen, w.began
	}
	if number > 0 {
		r.params = url.Values{"version": {strconv.FormatInt(number, 10)}}
	}
	body, e := d.call(ctx, r)
	if e != nil && !errors.Is(e.Kind, errNone) {
		return "", nil, e
	}
	var s secret
	if len(body) > 0 && json.Unmarshal(body, &s) != nil {
		return "", nil, &driver.Error{Op: opGet, Name: name, Kind: driver.ErrUnavailable, Hint: foreignHint}
	}
	switch {
	case e != nil && (s.Data == nil || s.Data.Metadata == nil):
		return "", nil, nil // there is no such secret, or no such version any more
	case s.is():
		return "", nil, &driver.Error{Op: opGet, Name: name, Kind: driver.ErrInvalid, Hint: wrappedHint}
	case s.Data == nil || s.Data.Metadata.number() == 0:
		return "", nil, &driver.Error{Op: opGet, Name: name, Kind: driver.ErrInvalid, Hint: notVersioned}
	}
	value, _ = s.Data.Data[member].(string)
	return value, s.Data.Metadata, nil
}

// Get implements driver.Driver. Each secret takes one request.
func (d *Driver) Get(ctx context.Context, how driver.Freshness, have ...driver.Item) ([]driver.Item, error) {
	items := make([]driver.Item, len(have))
	seen := make(map[string]bool, len(have))
	for i, item := range have {
		if !driver.ValidName(item.Name) || seen[item.Name] {
			return nil, &driver.Error{Op: opGet, Kind: driver.ErrInvalid, Hint: "a name is none of the contract, or given twice"}
		}
		items[i].Name, seen[item.Name] = item.Name, true
	}
	if err := ctx.Err(); err != nil {
		return nil, failed(ctx, opGet, "", err)
	}
	read := d.readAll
	if len(items) == 1 {
		read = func(ctx context.Context, how driver.Freshness, items []driver.Item) error {
			return d.readOne(ctx, how, &items[0])
		}
	}
	if err := read(ctx, how, items); err != nil {
		return nil, err
	}
	return items, nil
}

// readOne reads one secret. Its error is one of the call.
func (d *Driver) readOne(ctx context.Context, how driver.Freshness, item *driver.Item) error {
	value, m, e := d.readVersion(ctx, how, nil, item.Name, 0)
	switch {
	case e != nil:
		return e
	case m == nil:
		// Nothing tells a path without a secret from one in a mount of another kind.
		return d.checkMount(ctx)
	case value == "" && (m.Destroyed || m.DeletionTime != ""):
		item.Err = &driver.Error{Op: opGet, Name: item.Name, Kind: driver.ErrCorrupt, Hint: deletedHint(m)}
	case !possible(value):
		item.Err = &driver.Error{Op: opGet, Name: item.Name, Kind: driver.ErrCorrupt, Hint: "its value was not written by tokenkeep"}
	default:
		d.noteLife(item.Name, m, false)
		item.Revision, item.Value = revisionOf(m.number(), value), []byte(value)
	}
	return nil
}

func deletedHint(m *metadata) string {
	n := strconv.FormatInt(m.number(), 10)
	if m.Destroyed {
		return "version " + n + " is destroyed, and is the newest"
	}
	return "version " + n + " is deleted, by hand or by delete_version_after: undelete it"
}

// readAll reads secrets, some of them at the same time. The first that fails ends the
// others; that one is refused says nothing about them.
func (d *Driver) readAll(ctx context.Context, how driver.Freshness, items []driver.Item) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		wg      sync.WaitGroup
		once    sync.Once
		failure error
	)
	free := make(chan struct{}, atOnce)
	for i := range items {
		free <- struct{}{}
		wg.Go(func() {
			defer func() { <-free }()
			err := d.readOne(ctx, how, &items[i])
			if errors.Is(err, driver.ErrPermission) {
				items[i].Err, err = err, nil
			}
			if err != nil {
				once.Do(func() { failure = err })
				cancel()
			}
		})
	}
	wg.Wait()
	return failure
}

// possible reports whether a Put can have written a value.
func possible[T string | []byte](value T) bool {
	return len(value) > 0 && value[0] == '{' && utf8.ValidString(string(value))
}

// Put implements driver.Driver. It takes one request as a rule.
func (d *Driver) Put(ctx context.Context, name string, value []byte, prev driver.Revision) (driver.Revision, error) {
	base, ours := numberOf(prev)
	switch {
	case !driver.ValidName(name) || !possible(value):
		return "", &driver.Error{Op: opPut, Kind: driver.ErrInvalid, Hint: "the name or the value is none of the contract"}
	case len(value) > maxValue:
		return "", &driver.Error{Op: opPut, Name: name, Kind: driver.ErrTooLarge,
			Hint: fmt.Sprintf("%d bytes, and a secret takes %d", len(value), maxValue)}
	case ctx.Err() != nil:
		return "", failed(ctx, opPut, name, ctx.Err())
	case !ours:
		return "", &driver.Error{Op: opPut, Name: name, Kind: driver.ErrConflict, Hint: "the revision is none of this driver"}
	}
	if err := d.mayWrite(ctx, name); err != nil {
		return "", err
	}
	w := &write{d: d, name: name, value: string(value), base: base, began: time.Now()}
	return w.settle(ctx)
}

// mayWrite makes sure that nothing that an operator set makes a write do harm. It takes
// no request if nothing is in doubt.
func (d *Driver) mayWrite(ctx context.Context, name string) error {
	if err := d.checkMount(ctx); err != nil {
		return err
	}
	if err := d.checkLife(ctx, name); err != nil {
		return err
	}
	return d.mayDestroy(ctx, name)
}

// Delete implements driver.Driver. It removes the metadata of the secret, and with it
// all of its versions, for ever.
func (d *Driver) Delete(ctx context.Context, name string) error {
	switch {
	case !driver.ValidName(name):
		return &driver.Error{Op: opDelete, Kind: driver.ErrInvalid, Hint: "the name is none of the contract"}
	case ctx.Err() != nil:
		return failed(ctx, opDelete, name, ctx.Err())
	}
	var seen attempts
	_, e := d.call(ctx, request{op: opDelete, name: name, method: http.MethodDelete, path: d.path("metadata", name), seen: &seen})
	switch {
	case e == nil || errors.Is(e.Kind, errNone):
		d.replaced.forget(name)
		return nil
	case seen.unsure:
		e.Cause, e.Kind = errors.Join(ctx.Err(), e.Cause), driver.ErrOutcomeUnknown
	}
	return e
}

// Names implements driver.Driver. Vault answers all names at once.
func (d *Driver) Names(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		body, e := d.call(ctx, request{
			op: opList, method: http.MethodGet, path: d.mount + "/metadata/" + d.prefix, params: url.Values{"list": {"true"}},
		})
		if e != nil && !errors.Is(e.Kind, errNone) {
			yield("", e)
			return
		}
		if e != nil { // nothing there
			if err := d.checkMount(ctx); err != nil {
				yield("", err)
			}
			return
		}
		var list struct {
			Data struct {
				Keys []string `json:"keys"`
			} `json:"data"`
		}
		if json.Unmarshal(body, &list) != nil || list.Data.Keys == nil {
			yield("", &driver.Error{Op: opList, Kind: driver.ErrUnavailable, Hint: foreignHint})
			return
		}
		for _, key := range list.Data.Keys { // those of folders end in a slash
			if driver.ValidName(key) && !yield(key, nil) {
				return
			}
		}
	}
}

// Limits implements driver.Driver.
func (d *Driver) Limits() driver.Limits { return driver.Limits{Value: maxValue} }
