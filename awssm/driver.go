package awssm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/tokenkeep/tokenkeep/internal/rule"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

// The operations of the service.
const (
	opGet    = "GetSecretValue"
	opBatch  = "BatchGetSecretValue"
	opCreate = "CreateSecret"
	opPut    = "PutSecretValue"
	opDelete = "DeleteSecret"
	opList   = "ListSecrets"
)

// The service's limits.
//
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html
const (
	maxValue     = 65_536 // bytes
	writesPerDay = 100    // versions that one secret takes in 24 hours
	batchSize    = 20     // secrets in one BatchGetSecretValue
	pageSize     = 100    // secrets in one answer of ListSecrets
)

// atOnce is how many batches one Get sends at the same time: an account may send 100 of them
// a second.
const atOnce = 2

const description = "Kept by tokenkeep. Do not edit by hand: " +
	"https://github.com/tokenkeep/tokenkeep/blob/main/docs/aws.md"

// A Driver is a driver.Driver on Secrets Manager. It is safe for concurrent use.
//
// Revisions are version ids. A Put is one request that the service applies or
// refuses in one step: a creation names the secret, which can be created once only;
// a replacement names the version that is to follow prev, which can be written once
// only. If the answer is lost, the same request is sent again until the service
// answers or the context ends: give it a deadline.
type Driver struct {
	client *secretsmanager.Client
	prefix string
	kmsKey *string
	tags   []types.Tag
	window int64 // days that a deleted secret can be restored; 0: deletions are forced
}

var _ driver.Driver = (*Driver)(nil)

// NewDriver returns the driver below the store of [New], whose comment says what the
// arguments may be.
func NewDriver(client *secretsmanager.Client, prefix string, opts *Options) (*Driver, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if client == nil {
		return nil, fmt.Errorf("awssm: %w: the client is nil", driver.ErrInvalid)
	}
	if err := errors.Join(checkPrefix(prefix), o.check()); err != nil {
		return nil, err
	}
	d := &Driver{client: client, prefix: prefix, tags: o.tags()}
	if o.KMSKeyID != "" {
		d.kmsKey = &o.KMSKeyID
	}
	if !o.ForceDelete {
		d.window = maxWindow
		if o.RecoveryWindowDays != 0 {
			d.window = int64(o.RecoveryWindowDays)
		}
	}
	return d, nil
}

// Get implements driver.Driver. One secret takes one GetSecretValue, several take
// one BatchGetSecretValue for each 20 of them. Secrets Manager has one kind of read.
func (d *Driver) Get(ctx context.Context, _ driver.Freshness, have ...driver.Item) ([]driver.Item, error) {
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
		read = func(ctx context.Context, items []driver.Item) error { return d.read(ctx, &items[0]) }
	}
	if err := read(ctx, items); err != nil {
		return nil, err
	}
	return items, nil
}

// read reads one secret. Its error is one of the call.
func (d *Driver) read(ctx context.Context, item *driver.Item) error {
	out, err := d.client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: d.full(item.Name)})
	if err == nil {
		fill(item, opGet, out.VersionId, out.SecretString)
		return nil
	}
	return refuse(item, failed(ctx, opGet, item.Name, err))
}

// fill gives an item the value that was read.
func fill(item *driver.Item, op string, version, value *string) {
	read := []byte(aws.ToString(value))
	if aws.ToString(version) == "" || !possible(read) {
		item.Err = &driver.Error{Op: op, Name: item.Name, Kind: driver.ErrCorrupt, Hint: "its value was not written by tokenkeep"}
		return
	}
	item.Revision, item.Value = driver.Revision(*version), read
}

// ofOne reports whether an error is one of a secret, not of the call.
func ofOne(kind error) bool {
	return errors.Is(kind, errNoSecret) || errors.Is(kind, errNoVersion) || errors.Is(kind, driver.ErrDeleted)
}

// refuse gives an item the error that is its own, or returns the error.
func refuse(item *driver.Item, e *driver.Error) error {
	switch {
	case errors.Is(e.Kind, errNoSecret): // absent
	case errors.Is(e.Kind, errNoVersion):
		e.Kind, e.Hint = driver.ErrCorrupt, "it has no value"
		item.Err = e
	case errors.Is(e.Kind, driver.ErrDeleted):
		item.Err = e
	default:
		return e
	}
	return nil
}

// possible reports whether a Put can have written a value.
func possible(value []byte) bool { return bytes.HasPrefix(value, []byte("{")) && utf8.Valid(value) }

// readAll reads secrets in batches, some of them at the same time. The first that
// fails ends the others.
func (d *Driver) readAll(ctx context.Context, items []driver.Item) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		wg      sync.WaitGroup
		once    sync.Once
		failure error
	)
	free := make(chan struct{}, atOnce)
	for batch := range slices.Chunk(items, batchSize) {
		free <- struct{}{}
		wg.Go(func() {
			defer func() { <-free }()
			if err := d.readBatch(ctx, batch); err != nil {
				once.Do(func() { failure = err })
				cancel()
			}
		})
	}
	wg.Wait()
	return failure
}

// readBatch reads up to 20 secrets with one request.
func (d *Driver) readBatch(ctx context.Context, items []driver.Item) error {
	if len(items) == 1 {
		return d.readAmong(ctx, &items[0])
	}
	in := &secretsmanager.BatchGetSecretValueInput{}
	waiting := make(map[string]*driver.Item, len(items))
	for i := range items {
		full := d.full(items[i].Name)
		in.SecretIdList = append(in.SecretIdList, *full)
		waiting[*full] = &items[i]
	}
	out, err := d.client.BatchGetSecretValue(ctx, in)
	if err != nil {
		if e := failed(ctx, opBatch, "", err); !ofOne(e.Kind) {
			return e
		}
		// Something is the matter with one of them, and the answer does not say which.
		out = &secretsmanager.BatchGetSecretValueOutput{}
	}
	for _, s := range out.SecretValues {
		full := aws.ToString(s.Name)
		if item := waiting[full]; item != nil {
			fill(item, opBatch, s.VersionId, s.SecretString)
			delete(waiting, full)
		}
	}
	for _, e := range out.Errors {
		full := nameOfARN(aws.ToString(e.SecretId))
		item, code := waiting[full], aws.ToString(e.ErrorCode)
		if item == nil {
			continue
		}
		hint, kind := kindOf(opBatch, code, aws.ToString(e.Message))
		if refuseAmong(item, &driver.Error{Op: opBatch, Name: item.Name, Code: printable(code), Kind: kind, Hint: hint}) == nil {
			delete(waiting, full)
		}
	}
	// What is still waiting has no answer that says anything of the secret: the
	// service was in trouble with this one, or the answer had no room for it.
	for i := range items {
		if waiting[*d.full(items[i].Name)] != nil {
			if err := d.readAmong(ctx, &items[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// readAmong reads one secret of several: that it is refused says nothing about the
// others.
func (d *Driver) readAmong(ctx context.Context, item *driver.Item) error {
	err := d.read(ctx, item)
	if e, ok := errors.AsType[*driver.Error](err); ok {
		return refuseAmong(item, e)
	}
	return err
}

// refuseAmong is refuse for one secret of several.
func refuseAmong(item *driver.Item, e *driver.Error) error {
	if errors.Is(e.Kind, driver.ErrPermission) {
		item.Err = e
		return nil
	}
	return refuse(item, e)
}

// Put implements driver.Driver. It takes one request as a rule.
func (d *Driver) Put(ctx context.Context, name string, value []byte, prev driver.Revision) (driver.Revision, error) {
	switch op := opOf(prev); {
	case !driver.ValidName(name) || !possible(value):
		return "", &driver.Error{Op: op, Kind: driver.ErrInvalid, Hint: "the name or the value is none of the contract"}
	case len(value) > maxValue:
		return "", &driver.Error{Op: op, Name: name, Kind: driver.ErrTooLarge,
			Hint: fmt.Sprintf("%d bytes, and a secret takes %d", len(value), maxValue)}
	case ctx.Err() != nil:
		return "", failed(ctx, op, name, ctx.Err())
	}
	if prev == driver.Absent {
		return d.settle(ctx, d.creation(name, value))
	}
	return d.settle(ctx, d.replacement(name, value, prev))
}

func opOf(prev driver.Revision) string {
	if prev == driver.Absent {
		return opCreate
	}
	return opPut
}

func (d *Driver) creation(name string, value []byte) *write {
	full := d.full(name)
	w := &write{op: opCreate, name: name, value: string(value), version: creationOf(*full, value)}
	in := &secretsmanager.CreateSecretInput{
		Name:               full,
		SecretString:       &w.value,
		ClientRequestToken: &w.version,
		KmsKeyId:           d.kmsKey,
		Tags:               d.tags,
		Description:        aws.String(description),
	}
	w.send = func(ctx context.Context, a *attempts) (*string, error) {
		out, err := d.client.CreateSecret(ctx, in, a.watch)
		if err != nil {
			return nil, err
		}
		return out.VersionId, nil
	}
	return w
}

// A replacement names no staging labels: the service moves AWSCURRENT to the
// version when it makes it, and a late repetition moves nothing.
func (d *Driver) replacement(name string, value []byte, prev driver.Revision) *write {
	full := d.full(name)
	w := &write{op: opPut, name: name, value: string(value), version: successorOf(*full, prev)}
	if rule.Off(rule.CAS) {
		w.version = creationOf(*full, value)
	}
	in := &secretsmanager.PutSecretValueInput{
		SecretId:           full,
		SecretString:       &w.value,
		ClientRequestToken: &w.version,
	}
	w.send = func(ctx context.Context, a *attempts) (*string, error) {
		out, err := d.client.PutSecretValue(ctx, in, a.watch)
		if err != nil {
			return nil, err
		}
		return out.VersionId, nil
	}
	return w
}

// Delete implements driver.Driver. The secret can be restored for as long as the
// options say.
func (d *Driver) Delete(ctx context.Context, name string) error {
	switch {
	case !driver.ValidName(name):
		return &driver.Error{Op: opDelete, Kind: driver.ErrInvalid, Hint: "the name is none of the contract"}
	case ctx.Err() != nil:
		return failed(ctx, opDelete, name, ctx.Err())
	}
	in := &secretsmanager.DeleteSecretInput{SecretId: d.full(name)}
	if d.window == 0 {
		in.ForceDeleteWithoutRecovery = aws.Bool(true)
	} else {
		in.RecoveryWindowInDays = &d.window
	}
	var seen attempts
	for try := 0; ; try++ {
		_, err := d.client.DeleteSecret(ctx, in, seen.watch)
		if err == nil {
			return nil
		}
		e := failed(ctx, opDelete, name, err)
		switch {
		case ofOne(e.Kind): // it is not there, or on its way out
			return nil
		case !seen.unsure:
			return e
		}
		if pause(ctx, try) != nil {
			return unknown(ctx, e)
		}
	}
}

// Names implements driver.Driver. It takes one ListSecrets for each 100 secrets, and
// may lag by some minutes, as AWS says.
func (d *Driver) Names(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		pages := secretsmanager.NewListSecretsPaginator(d.client, &secretsmanager.ListSecretsInput{
			// The filter takes a prefix; what else it may let through is sorted out below.
			Filters:    []types.Filter{{Key: types.FilterNameStringTypeName, Values: []string{d.prefix + "/"}}},
			MaxResults: aws.Int32(pageSize),
		})
		seen := map[string]bool{} // a secret that changes while it is listed may come twice
		for pages.HasMorePages() {
			out, err := pages.NextPage(ctx)
			if err != nil {
				yield("", failed(ctx, opList, "", err))
				return
			}
			for _, s := range out.SecretList {
				name, ours := d.short(aws.ToString(s.Name))
				if !ours || s.DeletedDate != nil || seen[name] {
					continue
				}
				seen[name] = true
				if !yield(name, nil) {
					return
				}
			}
		}
	}
}

// Limits implements driver.Driver.
func (d *Driver) Limits() driver.Limits {
	return driver.Limits{
		Value:            maxValue,
		DeletedNameRests: time.Duration(d.window) * 24 * time.Hour,
		WritesPerDay:     writesPerDay,
	}
}
