package token

import (
	"context"
	"errors"
	"fmt"
)

// UpdateToken changes the record with an id by a function, which may also erase
// fields and change the user or the client. It is applied to the newest state of
// the record; if others write at the same time, it is called again on what they
// wrote, so it should do nothing but change its argument. Its error is returned and
// nothing is written then.
//
// The id cannot change, and a grant, refresh or access token has to be left:
// [ErrInvalid]. [ErrConflict] is returned for what SaveToken returns it for, if
// another record already is what this one would become; [ErrNotFound] if there is no
// record with the id.
func (s *Store) UpdateToken(ctx context.Context, id string, change func(*OAuthToken) error) error {
	if err := checkUpdate(id, change); err != nil {
		return fmt.Errorf("tokenkeep: update token: %w", err)
	}
	return s.run(ctx, "update token", func(ctx context.Context) error {
		return s.update(ctx, id, change)
	})
}

// TryUpdateToken is [Store.UpdateToken] that gives way: it builds on the newest state
// that this store knows, or reads one if it knows none, and if another writer was faster
// it returns [ErrConflict] at once, with nothing written and without another call. What
// was known is not used any more then: the next call reads what the other one wrote. It
// is for work that only one process should do, and that the others leave to it.
//
// An update of a record that is known and gains no key takes one call, won or lost; on AWS,
// Google and Vault a lost one includes a look at who was faster. One that gains keys can
// lose a race for the index, too, to a writer of the same keys. What else may be in the way
// is no conflict, and is gone about as UpdateToken does: entries of other keys, an index
// that grows, and what has to be read again before something is refused, the error of
// change included. So change may be called more than once.
func (s *Store) TryUpdateToken(ctx context.Context, id string, change func(*OAuthToken) error) error {
	if err := checkUpdate(id, change); err != nil {
		return fmt.Errorf("tokenkeep: try to update token: %w", err)
	}
	return s.run(ctx, "try to update token", func(ctx context.Context) error {
		err := s.update(ctx, id, change)
		if again := (*againError)(nil); errors.As(err, &again) && again.outrun {
			return fmt.Errorf("%w: %s", ErrConflict, again.why)
		}
		return err
	})
}

// checkUpdate reports what is wrong with the arguments of an update.
func checkUpdate(id string, change func(*OAuthToken) error) error {
	err := checkID(id)
	if err == nil && change == nil {
		err = fmt.Errorf("%w: the function is nil", ErrInvalid)
	}
	return err
}

// update changes a record by a function, and asks to be called again if others were faster.
func (s *Store) update(ctx context.Context, id string, change func(*OAuthToken) error) error {
	return s.attempt(func(a *attempt) error {
		to, err := a.recordOf(ctx, id)
		if err != nil {
			return err
		}
		v := to.view
		if !v.live() {
			return a.refuse(ErrNotFound)
		}
		if err := checkSameID(v, id); err != nil {
			return err
		}
		t := fromRecord(v.record)
		if err := change(t); err != nil {
			return a.refuse(err)
		}
		next, err := toRecord(t)
		switch {
		case err != nil:
			return a.refuse(err)
		case next.ID != id:
			return fmt.Errorf("%w: the id of a record cannot change", ErrInvalid)
		case !carriesToken(next):
			return a.refuse(fmt.Errorf("%w: no grant, refresh or access token is left", ErrInvalid))
		}
		return a.commit(ctx, to, v.record.Replace(next))
	})
}
