package gcpsm

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"unicode/utf8"

	secretmanager "cloud.google.com/go/secretmanager/apiv1"
	secretmanagerpb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"github.com/googleapis/gax-go/v2"
	"golang.org/x/time/rate"
	"google.golang.org/api/iterator"
	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"

	"github.com/tokenkeep/tokenkeep/token/driver"
)

// The operations of the service.
const (
	opAccess       = "AccessSecretVersion"
	opGetVersion   = "GetSecretVersion"
	opCreate       = "CreateSecret"
	opAdd          = "AddSecretVersion"
	opDelete       = "DeleteSecret"
	opDestroy      = "DestroySecretVersion"
	opList         = "ListSecrets"
	opListVersions = "ListSecretVersions"
)

// maxPayload is the service's limit of a version, in bytes.
//
// https://docs.cloud.google.com/secret-manager/quotas
const maxPayload = 65_536

// atOnce is how many secrets one Get reads at the same time, and how many versions are
// destroyed so.
const atOnce = 16

// pageSize is how many secrets or versions one answer lists at most.
const pageSize = 1000

// A Driver is a driver.Driver on Secret Manager. It is safe for concurrent use.
//
// Each secret is an append log, since the service has no compare-and-set: see log.go.
// A Put is one AddSecretVersion as a rule, and destroys the version that it replaced.
// If an answer is lost, the outcome is read from the one number where the write has to
// be. Calls wait and are repeated until the service answers or the context ends: give
// it a deadline.
type Driver struct {
	client   *secretmanager.Client
	parent   string
	regional bool
	prefix   string
	// secretOf is what a new secret is created with.
	secretOf *secretmanagerpb.Secret

	logs   *logs
	writes *rate.Limiter // of all calls that count as a write of the project
	undone undone        // what is still to be destroyed
}

var _ driver.Driver = (*Driver)(nil)

// NewDriver returns the driver below the store of [New], whose comment says what the
// arguments may be.
func NewDriver(client *secretmanager.Client, parent, prefix string, opts *Options) (*Driver, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if client == nil {
		return nil, fmt.Errorf("gcpsm: %w: the client is nil", driver.ErrInvalid)
	}
	regional, err := checkParent(parent)
	if err := errors.Join(err, checkPrefix(prefix), o.check(regional)); err != nil {
		return nil, err
	}
	d := &Driver{client: client, parent: parent, regional: regional, prefix: encoded(prefix), secretOf: o.secret(regional), writes: o.Pace.writes()}
	adds, per := o.Pace.adds(regional)
	if d.logs, err = newLogs(max(o.Store.Remember, remembered), adds, per); err != nil {
		return nil, fmt.Errorf("gcpsm: %w: %w", driver.ErrInvalid, err)
	}
	return d, nil
}

// remembered is how many logs a driver remembers at least: as many as a store remembers
// secrets, if its options do not say.
const remembered = 10_000

// Get implements driver.Driver. A secret takes one AccessSecretVersion if the caller
// has its current item, or for a list; two if not.
func (d *Driver) Get(ctx context.Context, how driver.Freshness, have ...driver.Item) ([]driver.Item, error) {
	items := make([]driver.Item, len(have))
	seen := make(map[string]bool, len(have))
	for i, item := range have {
		if !driver.ValidName(item.Name) || seen[item.Name] {
			return nil, &driver.Error{Op: opAccess, Kind: driver.ErrInvalid, Hint: "a name is none of the contract, or given twice"}
		}
		items[i], seen[item.Name] = item, true
	}
	if err := ctx.Err(); err != nil {
		return nil, failed(ctx, opAccess, "", err)
	}
	if len(items) == 1 {
		item, err := d.read(ctx, how, items[0])
		if err != nil {
			return nil, err
		}
		return []driver.Item{item}, nil
	}
	return items, d.readAll(ctx, how, items)
}

// readAll reads secrets, some of them at the same time. The first that fails ends the
// others; that one is refused says nothing about them.
func (d *Driver) readAll(ctx context.Context, how driver.Freshness, items []driver.Item) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		once    sync.Once
		failure error
	)
	each(len(items), func(i int) {
		item, err := d.read(ctx, how, items[i])
		if errors.Is(err, driver.ErrPermission) {
			item, err = driver.Item{Name: items[i].Name, Err: err}, nil
		}
		if err != nil {
			once.Do(func() { failure = err })
			cancel()
		}
		items[i] = item
	})
	return failure
}

// possible reports whether a Put can have written a value.
func possible(value []byte) bool { return len(value) > 0 && value[0] == '{' && utf8.Valid(value) }

// Put implements driver.Driver. It takes one AddSecretVersion as a rule, and one
// CreateSecret before it for a new secret.
func (d *Driver) Put(ctx context.Context, name string, value []byte, prev driver.Revision) (driver.Revision, error) {
	switch {
	case !driver.ValidName(name) || !possible(value):
		return "", &driver.Error{Op: opAdd, Kind: driver.ErrInvalid, Hint: "the name or the value is none of the contract"}
	case len(value) > d.Limits().Value:
		return "", &driver.Error{Op: opAdd, Name: name, Kind: driver.ErrTooLarge,
			Hint: fmt.Sprintf("%d bytes, and a secret takes %d", len(value), d.Limits().Value)}
	case ctx.Err() != nil:
		return "", failed(ctx, opAdd, name, ctx.Err())
	}
	release, err := d.logs.take(ctx, name)
	if err != nil {
		return "", failed(ctx, opAdd, name, err)
	}
	defer release()
	if err := d.mayDestroy(ctx, name); err != nil {
		return "", err
	}
	w := &write{d: d, name: name, value: value, tag: tagOf(value)}
	rev, err := w.base(ctx, prev)
	if err != nil || rev != driver.Absent {
		return rev, err
	}
	return w.settle(ctx)
}

// Delete implements driver.Driver. It is final: Secret Manager keeps nothing of a
// deleted secret.
func (d *Driver) Delete(ctx context.Context, name string) error {
	switch {
	case !driver.ValidName(name):
		return &driver.Error{Op: opDelete, Kind: driver.ErrInvalid, Hint: "the name is none of the contract"}
	case ctx.Err() != nil:
		return failed(ctx, opDelete, name, ctx.Err())
	}
	unsure := false
	remove := func(ctx context.Context, req *secretmanagerpb.DeleteSecretRequest, opts ...gax.CallOption) (struct{}, error) {
		var to peer.Peer
		err := d.client.DeleteSecret(ctx, req, append(opts, gax.WithGRPCOptions(grpc.Peer(&to)))...)
		unsure = unsure || err != nil && tellsNothing(err) && sent(err, &to)
		return struct{}{}, err
	}
	_, e := call(ctx, d, opDelete, name, &secretmanagerpb.DeleteSecretRequest{Name: d.secret(name)}, remove)
	switch {
	case e == nil, errors.Is(e.Kind, errNone):
		d.logs.forget(name)
		return nil
	case unsure:
		e.Kind, e.Cause = driver.ErrOutcomeUnknown, errors.Join(ctx.Err(), e.Cause)
	}
	return e
}

// Names implements driver.Driver. It takes one ListSecrets for each thousand secrets,
// and lags by minutes as a rule and hours at worst, as Google says of all that is not
// read by number.
func (d *Driver) Names(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		// The filter looks for a part of the name; what else it lets through is sorted out
		// below.
		//
		// https://docs.cloud.google.com/secret-manager/docs/filtering
		req := &secretmanagerpb.ListSecretsRequest{Parent: d.parent, Filter: "name:" + d.prefix + slash, PageSize: pageSize}
		seen := map[string]bool{} // a secret that changes while it is listed may come twice
		for {
			p, e := call(ctx, d, opList, "", req, d.listPage)
			if e != nil {
				yield("", e)
				return
			}
			for _, s := range p.secrets {
				if name, ours := d.short(s.GetName()); ours && !seen[name] {
					seen[name] = true
					if !yield(name, nil) {
						return
					}
				}
			}
			if req.PageToken = p.next; p.next == "" {
				return
			}
		}
	}
}

// A page is one answer of ListSecrets.
type page struct {
	secrets []*secretmanagerpb.Secret
	next    string // its token, empty if there is none
}

func (d *Driver) listPage(ctx context.Context, req *secretmanagerpb.ListSecretsRequest, opts ...gax.CallOption) (page, error) {
	return inTime(ctx, func() (p page, err error) {
		p.next, err = iterator.NewPager(d.client.ListSecrets(ctx, req, opts...), pageSize, req.GetPageToken()).NextPage(&p.secrets)
		return p, err
	})
}

// Limits implements driver.Driver. The number of versions that were seen takes a part
// of the payload.
func (d *Driver) Limits() driver.Limits {
	// https://docs.cloud.google.com/secret-manager/quotas
	perSecond := 2
	if d.regional {
		perSecond = 80
	}
	return driver.Limits{Value: maxPayload - maxSeen, WritesPerSecond: perSecond}
}
