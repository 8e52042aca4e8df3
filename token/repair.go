package token

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tokenkeep/tokenkeep/codec"
)

// RepairOptions say what [Store.Repair] does. The zero value mends everything that can
// be mended without a decision.
type RepairOptions struct {
	// DryRun looks, and writes nothing at all. The report says what a run without it
	// would mend.
	DryRun bool

	// Rebuild makes the whole index anew from the records alone, in as few secrets as
	// its size needs, also if nothing seems to be wrong with it: for an index that was
	// edited by hand, or that is larger than it needs to be. A lost or damaged index is
	// rebuilt without being asked for. While the index is shut, operations of all
	// processes fail with [ErrCorrupt] or [ErrUnavailable]: for as long as it takes to read
	// and to write each of its secrets once. If a run ends before that, the index stays shut
	// until another run.
	Rebuild bool

	// Duplicates decides which of several records of one identity stays. It gets copies
	// of them, the one first that held their key first, as far as the index tells, and
	// returns the ID of the one to keep: those that cannot be beside it are deleted, and
	// their fields are lost. With "" all stay. It may be asked again about records that
	// change meanwhile, and is asked in a dry run too. Nil: duplicates are listed and
	// nothing else, and the index stays as it is for them. [KeepLatestExpiry] is one.
	Duplicates func(records []*OAuthToken) (keep string)

	// OldVersions looks for values that were replaced and that the service still keeps,
	// and destroys them: on Google and Vault, where a process may die between its write
	// and that. It takes a call for each secret or more. On AWS there are none.
	OldVersions bool

	// Progress, if it is not nil, is told how far the run is, now and then, by the
	// goroutine that runs.
	Progress func(RepairProgress)

	// From is where a run goes on that was cut short: Next of its report. The records are read
	// again all the same; what is not done again is the destruction of old versions, and the
	// comparison of the index with the records as far as it came. Empty: the beginning, which is
	// always right too. With From, an index is rebuilt only if it is damaged.
	From string
}

// RepairProgress says how far a run is.
type RepairProgress struct {
	// Phase is what is looked at: "names", "index", "rebuild", "records", "duplicates",
	// "entries" or "leftovers", in this order.
	Phase string
	// Done and Total count the secrets, or the groups of duplicates, of this phase. Total
	// is an estimate where others work at the same time, and 0 where it is not known.
	Done, Total int
}

// KeepLatestExpiry is a rule for RepairOptions.Duplicates: it keeps the record whose
// access token expires last, and of several the first.
func KeepLatestExpiry(records []*OAuthToken) (keep string) {
	var best *OAuthToken
	for _, t := range records {
		if best == nil || t.Expiry.After(best.Expiry) {
			best = t
		}
	}
	if best == nil {
		return ""
	}
	return best.ID
}

// Repair looks at every secret under the prefix, finds what crashes, hands and other tools
// left, and mends it: an index that is lost, damaged or half grown; records that their keys
// do not find; entries, tombstones and secrets that have no use any more; and, as a rule
// given in the options decides, records that are one and the same. The report lists what
// it found and what it mended.
//
// It may run while the store is in use, in several processes at once, and be killed at any
// time: all that it writes is written by compare-and-set, by the rules that a save keeps. What is
// so young that somebody may be at it is left alone and counted as waiting; [RepairReport.Again]
// says when another run will find it due. Never decided without a rule is which of two
// records stays, and never touched is what cannot be read.
//
// It reads each record once and each secret of the index twice, and keeps some 100 bytes in
// memory for each record. Each step is bounded by Options.Timeout, the run as a whole by ctx.
// The driver has to be able to list the names, and to delete.
//
// An error says what could not be done; the report is right all the same, and says how far
// the run came. [ErrCorrupt] is returned for an index that has to be restored first: its root,
// or with no Rebuild asked for a leaf, is marked for deletion, or something of it is of a newer
// format. [ErrInvalid] for a From that is none, and for a rule that names none of its
// records.
func (s *Store) Repair(ctx context.Context, opts RepairOptions) (RepairReport, error) {
	own, err := s.apart()
	if err != nil {
		return RepairReport{}, fmt.Errorf("tokenkeep: repair: %w", err)
	}
	r := &repair{
		store: own, owner: s, opts: opts, counts: make(map[Problem]*RepairCount),
		twins: make(map[string]bool), regained: make(map[string]bool), listed: make(map[string]bool),
	}
	r.report.DryRun = opts.DryRun
	if err = r.begin(opts.From); err == nil {
		err = r.run(ctx)
	}
	if err = errors.Join(append(r.failures, err)...); err != nil {
		err = fmt.Errorf("tokenkeep: repair: %w", err)
	}
	r.finish(err == nil)
	return r.report, err
}

// repairRemembers is how many records a repair remembers.
const repairRemembers = 1000

// apart returns a store on the same service that remembers nothing, as another process has
// it: what a hand took away is no stale read to it, and it does not crowd out what the
// store remembers.
func (s *Store) apart() (*Store, error) {
	own := *s
	var err error
	own.memory, err = newMemory(repairRemembers)
	own.gathering = newGathering()
	return &own, err
}

// A repair is one run of Repair.
type repair struct {
	store  *Store // apart from its owner
	owner  *Store
	opts   RepairOptions
	report RepairReport
	counts map[Problem]*RepairCount
	listed map[string]bool // in the report, as unreadable
	from   place
	at     place // where another run has to go on

	// What is listed under the prefix: refs of records, sorted, and names of index
	// secrets.
	refs   []string
	leaves []string
	shape  *shape
	twice  *shape // of a second look
	survey *survey
	// twins are the refs of records that have a duplicate, and are not to be kept.
	twins map[string]bool
	// regained are the refs of records that a key did not find.
	regained map[string]bool
	// grew: a leaf was sealed in the course of this run.
	grew bool
	// unclean: what was replaced may not be looked at, or not be destroyed.
	unclean bool
	// failures are the errors of what could not be mended, the first of them at the place
	// failedAt.
	failures []error
	failedAt place
}

// The phases of a run that another one can go on with, and the others.
const (
	phaseNames      = "names"
	phaseIndex      = "index"
	phaseRebuild    = "rebuild"
	phaseRecords    = "records"
	phaseDuplicates = "duplicates"
	phaseEntries    = "entries"
	phaseLeftovers  = "leftovers"
)

var repairPhases = []string{"", phaseRecords, phaseDuplicates, phaseEntries, phaseLeftovers}

// A place is how far a run came: a phase, and a secret's name or a prefix of hashes
// in it.
type place struct {
	phase int
	where string
}

func (p place) String() string {
	if p.phase == 0 {
		return ""
	}
	return strings.TrimSuffix(repairPhases[p.phase]+"/"+p.where, "/")
}

// before reports whether p is reached before another place.
func (p place) before(o place) bool {
	return p.phase < o.phase || p.phase == o.phase && p.where < o.where
}

// begin reads where the run begins.
func (r *repair) begin(from string) error {
	phase, where, _ := strings.Cut(from, "/")
	r.from = place{slices.Index(repairPhases, phase), where}
	_, isRecord := codec.RefOfName(where)
	switch ok := map[string]bool{
		phaseRecords: isRecord,
		phaseEntries: strings.Trim(where, "01") == "" && len(where) <= codec.MaxPrefix,
	}[phase]; {
	case r.from.phase < 0, !ok && where != "", r.from.String() != from:
		return fmt.Errorf("%w: From is not where a run ended", ErrInvalid)
	}
	r.at = r.from
	return nil
}

// done reports whether an earlier run did with a phase what this one goes on with.
func (r *repair) done(phase string) bool { return slices.Index(repairPhases, phase) < r.from.phase }

// reached notes that the run came to a place.
func (r *repair) reached(phase, where string) {
	p := place{slices.Index(repairPhases, phase), where}
	if r.at.before(p) {
		r.at = p
	}
}

func (r *repair) run(ctx context.Context) error {
	if err := r.list(ctx); err != nil {
		return err
	}
	damage, err := r.inspect(ctx)
	if err != nil {
		return err
	}
	if damage != "" {
		r.count(damage).Found++
	}
	if damage != "" || r.opts.Rebuild && r.opts.From == "" && r.shape != nil {
		if err := r.rebuild(ctx, damage); err != nil {
			return err
		}
	}
	for _, step := range []func(context.Context) error{r.grow, r.records, r.duplicates, r.entries, r.leftovers} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// maxFailures is after how many things that cannot be mended a run ends.
const maxFailures = 20

// failed notes that something could not be mended, and returns an error if that is no
// matter of one secret, so that the run has to end.
func (r *repair) failed(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return err
	case errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrQuota) && !errors.Is(err, ErrOutcomeUnknown):
		return err
	}
	if len(r.failures) == 0 {
		r.failedAt = r.at
	}
	r.failures = append(r.failures, err)
	if len(r.failures) == maxFailures {
		return errors.New("too much cannot be mended")
	}
	return nil
}

// mend does what a found problem needs, unless the run only looks.
func (r *repair) mend(ctx context.Context, p Problem, n int, do func(ctx context.Context) error) error {
	c := r.count(p)
	c.Found += n
	if r.opts.DryRun {
		return nil
	}
	err := r.store.retry(ctx, do)
	if err == nil {
		c.Fixed += n
	}
	return r.failed(ctx, err)
}

func (r *repair) progress(phase string, done, total int) {
	if r.opts.Progress != nil {
		r.opts.Progress(RepairProgress{phase, done, total})
	}
}

// rests reports whether the service keeps deleted names from being used for so long that
// nobody is at the secret any more who knew it.
func (r *repair) rests() bool { return r.store.limits.DeletedNameRests >= grace }

// forgotten reports whether an id is so old that nobody creates a record under it any more. An
// unfinished create is adopted within two hours (see adoptable); what is more than that is
// for clocks that differ.
func forgotten(ref string) bool {
	hours, ok := codec.HoursOld(ref, time.Now())
	return ok && time.Duration(hours)*time.Hour > 2*grace
}
