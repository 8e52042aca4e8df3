package token

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
)

// This file saves many tokens: in batches, each of which writes an index secret once (see
// batch.go).

// A BatchError says what [Store.SaveTokens] did not save. Tokens are named by their places in
// the slice; all others are saved.
type BatchError struct {
	// Saved is how many were saved, of Total.
	Saved, Total int
	// Failed says why tokens were not saved. One whose error is [ErrOutcomeUnknown] may be.
	Failed map[int]error
	// Left are those that were not tried, since an error of the service, or the end of the
	// context, ended it.
	Left []int

	ended error // the context's
}

// Error says how many were saved, and why the first one that failed was not.
func (e *BatchError) Error() string {
	text := fmt.Sprintf("tokenkeep: save tokens: %d of %d saved", e.Saved, e.Total)
	if places := slices.Sorted(maps.Keys(e.Failed)); len(places) > 0 {
		text += fmt.Sprintf(", %d failed; token %d: %v", len(places), places[0], e.Failed[places[0]])
	} else if e.ended != nil {
		text += ": " + e.ended.Error()
	}
	return text
}

// Unwrap gives [errors.Is] the errors of the tokens that failed, and that of the context.
func (e *BatchError) Unwrap() []error {
	var errs []error
	if e.ended != nil {
		errs = append(errs, e.ended)
	}
	for _, place := range slices.Sorted(maps.Keys(e.Failed)) {
		errs = append(errs, e.Failed[place])
	}
	return errs
}

// SaveTokens saves tokens, each as [Store.SaveToken] does, and sets the ID of those that
// are saved. It takes far fewer calls: of each thousand tokens the claims in one index secret
// are one write. Of tokens of one identity the last one is saved last.
//
// A token that is refused does not keep others from being saved. An error of the service
// ends it, after what was under way. Both are a [*BatchError], which says what was saved. To
// save all of them again is right after every error. [Store.SaveEach] does the same, shows
// the progress, and needs no slice of all tokens.
func (s *Store) SaveTokens(ctx context.Context, tokens []*OAuthToken) error {
	e := &BatchError{Total: len(tokens), Failed: make(map[int]error)}
	tried := make([]bool, len(tokens))
	for batch := range s.batches(ctx, slices.Values(tokens)) {
		ended := false
		for _, o := range batch {
			tried[o.place] = true
			if o.err != nil {
				e.Failed[o.place] = o.err
				ended = ended || !refused(o.err)
			}
		}
		if ended {
			break
		}
	}
	for place, done := range tried {
		switch {
		case !done:
			e.Left = append(e.Left, place)
		case e.Failed[place] == nil:
			e.Saved++
		}
	}
	if e.Saved == e.Total {
		return nil
	}
	e.ended = ctx.Err()
	return e
}

// refused reports whether an error is one of a token, not of the service.
func refused(err error) bool {
	return slices.ContainsFunc([]error{ErrInvalid, ErrConflict, ErrAmbiguous, ErrTooLarge, ErrCorrupt}, func(kind error) bool {
		return errors.Is(err, kind)
	})
}

// SaveEach saves the tokens of a sequence as [Store.SaveTokens] does, and yields each of
// them, with its error if it was not saved: a thousand at a time, as soon as they are done,
// almost in their order. It takes them from the sequence a thousand at a time too. It goes on
// after every error; to end it, end the loop. When the context ends, it yields what it had
// taken from the sequence, with the context's error, and ends.
func (s *Store) SaveEach(ctx context.Context, tokens iter.Seq[*OAuthToken]) iter.Seq2[*OAuthToken, error] {
	return func(yield func(*OAuthToken, error) bool) {
		for batch := range s.batches(ctx, tokens) {
			for _, o := range batch {
				err := o.err
				if err != nil {
					err = fmt.Errorf("tokenkeep: save tokens: %w", err)
				}
				if !yield(o.token, err) {
					return
				}
			}
		}
	}
}
