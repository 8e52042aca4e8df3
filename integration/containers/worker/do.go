package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tokenkeep/tokenkeep/integration/containers/oplog"
	"github.com/tokenkeep/tokenkeep/token"
)

// The names of what is stored. Errors must hold none of them.
const (
	userName    = "user-"
	refreshName = "refresh-"
	accessName  = "access-"
	markName    = "mark-"
	countName   = "count"
)

// A client does one operation after the other.
type client struct {
	number int
	ops    int // that it has begun
}

// do does an operation and writes down that it begins, and how it ended.
func (w *worker) do(ctx context.Context, c *client, b oplog.Begin, k *knowledge) {
	c.ops++
	b.Client, b.Op = c.number, c.ops
	w.write(oplog.Line{Begin: &b})
	ctx, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	end, err := w.perform(ctx, b)
	end.Client, end.Op = b.Client, b.Op
	end.Outcome, end.Late = outcome(b.Do, err), ctx.Err() != nil
	if err != nil {
		end.Err = err.Error()
	}
	if end.Outcome == "not found" || end.Outcome == "refused" {
		end.ID, end.Seen = "", nil // what an update was tried on says nothing
	}
	w.write(oplog.Line{End: &end})
	if end.Outcome == "done" && k != nil {
		k.learn(b.User, end.ID, b.Refresh)
		if end.Seen != nil {
			k.learn(b.User, end.Seen.ID, end.Seen.Refresh)
		}
	}
}

// write writes a line. A worker that cannot say what it does must not go on.
func (w *worker) write(l oplog.Line) {
	if err := w.log.Write(l); err != nil {
		panic(fmt.Sprint("worker: the log cannot be written: ", err))
	}
}

// outcome names how an operation ended, in the words of package history; what an error
// does not explain is none of them. That the time was up explains nothing: the store says of each
// such error whether something may have been written.
func outcome(do string, err error) string {
	writes := !strings.HasPrefix(do, "find")
	saves := strings.HasPrefix(do, "save") || strings.HasPrefix(do, "keep")
	switch {
	case err == nil:
		return "done"
	case errors.Is(err, token.ErrOutcomeUnknown) && writes:
		return "outcome unknown"
	case errors.Is(err, token.ErrNotFound) && !saves:
		return "not found"
	case errors.Is(err, token.ErrUnavailable):
		return "refused"
	}
	return "unexplained"
}

// perform calls the store.
func (w *worker) perform(ctx context.Context, b oplog.Begin) (end oplog.End, err error) {
	t := &token.OAuthToken{UserSignature: token.UserSignature{Name: userName + strconv.Itoa(b.User)}}
	if b.Access != 0 {
		t.AccessToken = token.NewSecret(accessName + strconv.Itoa(b.Access))
	}
	if b.Refresh != 0 {
		t.RefreshToken = token.NewSecret(refreshName + strconv.Itoa(b.Refresh))
	}
	if b.Mark != 0 {
		t.Extra = map[string]token.Secret{markName + strconv.FormatInt(b.Mark, 10): token.NewSecret("1")}
	}
	switch b.Do {
	case "save access", "save refresh", "keep refresh":
		err = w.store.SaveToken(ctx, t)
		end.ID = t.ID
		return end, err
	case "update":
		err = w.store.UpdateToken(ctx, b.ID, func(t *token.OAuthToken) error {
			seen, err := recordOf(t)
			if err != nil {
				return err
			}
			end.Seen = &seen
			if t.Extra == nil {
				t.Extra = map[string]token.Secret{}
			}
			t.Extra[countName] = token.NewSecret(strconv.Itoa(seen.Count + 1))
			t.Extra[markName+strconv.FormatInt(b.Mark, 10)] = token.NewSecret("1")
			return nil
		})
		return end, err
	case "delete":
		return end, w.store.DeleteToken(ctx, b.ID)
	case "find by id":
		t, err = w.store.FindTokenByID(ctx, b.ID)
	case "find by user":
		t, err = w.store.FindToken(ctx, t)
	case "find by refresh":
		t.UserSignature = token.UserSignature{}
		t, err = w.store.FindToken(ctx, t)
	default:
		return end, fmt.Errorf("there is no operation %q", b.Do)
	}
	if err != nil {
		return end, err
	}
	seen, err := recordOf(t)
	end.Seen = &seen
	return end, err
}

// recordOf returns what a token holds, as numbers.
func recordOf(t *token.OAuthToken) (oplog.Record, error) {
	r := oplog.Record{ID: t.ID}
	var errs []error
	number := func(text, name string) int {
		if text == "" {
			return 0
		}
		n, err := strconv.Atoi(strings.TrimPrefix(text, name))
		errs = append(errs, err)
		return n
	}
	r.User = number(t.UserSignature.Name, userName)
	r.Access, r.Refresh = number(t.AccessToken.Reveal(), accessName), number(t.RefreshToken.Reveal(), refreshName)
	for name, value := range t.Extra {
		if name == countName {
			r.Count = number(value.Reveal(), "")
		} else {
			r.Marks = append(r.Marks, int64(number(name, markName)))
		}
	}
	slices.Sort(r.Marks)
	if err := errors.Join(errs...); err != nil {
		return r, fmt.Errorf("record %s holds what nobody wrote: %w", t.ID, err)
	}
	return r, nil
}
