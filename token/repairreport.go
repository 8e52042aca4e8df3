package token

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Problem is a kind of what [Store.Repair] finds.
type Problem string

// The problems.
const (
	// LostIndex: there are records, and no root of the index.
	LostIndex Problem = "lost index"
	// DamagedIndex: a secret of the index is missing, cannot be read, or is not what the
	// index says it is; or a rebuild was cut short.
	DamagedIndex Problem = "damaged index"
	// UnfinishedGrowth: the index has leaves that took the place of others, and that its root
	// was not told of, or that were not created yet.
	UnfinishedGrowth Problem = "unfinished growth"
	// OrphanedLeaf: a secret of the index that nothing leads to any more.
	OrphanedLeaf Problem = "orphaned leaf"
	// MissingEntry: a record that one of its keys does not find.
	MissingEntry Problem = "missing entry"
	// DeadEntry: an entry of the index that says nothing any more.
	DeadEntry Problem = "dead entry"
	// UnfinishedClaim: an entry for a key that a record was about to get.
	UnfinishedClaim Problem = "unfinished claim"
	// BehindIndex: a record is older than its entry in the index says: somebody removed it or
	// set it back by hand.
	BehindIndex Problem = "record behind the index"
	// OldTombstone: what a deletion left, and that has rested.
	OldTombstone Problem = "old tombstone"
	// EmptyGrave: the index notes a tombstone that is not there any more.
	EmptyGrave Problem = "empty grave"
	// DuplicateRecord: records that are one and the same, of which a rule decides.
	DuplicateRecord Problem = "duplicate record"
	// ReplacedValue: a version of a secret that was replaced and not destroyed.
	ReplacedValue Problem = "replaced value"
	// UnreadableSecret: a secret that cannot be read, or that holds the record of another id.
	// A hand has to mend or to remove it.
	UnreadableSecret Problem = "unreadable secret"
)

var allProblems = []Problem{
	LostIndex, DamagedIndex, UnfinishedGrowth, OrphanedLeaf, MissingEntry, DeadEntry, UnfinishedClaim, BehindIndex,
	OldTombstone, EmptyGrave, DuplicateRecord, ReplacedValue, UnreadableSecret,
}

// A RepairCount says how often a problem was met.
type RepairCount struct {
	Problem Problem
	// Found is how often it was there, and Fixed how often it was mended. In a dry run
	// nothing is.
	Found, Fixed int
	// Waiting is what is as it should be, and will be one if it stays so: it is so young
	// that somebody may be at it, or has to rest.
	Waiting int
}

// A Duplicate are records of one identity, two of which cannot be beside each other.
type Duplicate struct {
	// IDs are those of the records, the one first that held their key first as far as the
	// index tells.
	IDs []string
	// Differ names the fields of [OAuthToken] in which they differ.
	Differ []string
	// Kept is the one that the rule chose; the others were deleted, or would be if the run
	// were not dry. Empty: all stay.
	Kept string
}

// An Unreadable is a secret that cannot be read.
type Unreadable struct {
	// Name is the secret's name without the store's prefix.
	Name string
	// Err says why.
	Err error
}

// A RepairReport is what [Store.Repair] found and did. It holds no secret and no user
// name, and neither do its errors; ids that callers chose are in Duplicates.
type RepairReport struct {
	DryRun bool

	// Records, Tombstones and IndexSecrets are how many were looked at.
	Records, Tombstones, IndexSecrets int
	// Problems are those that were met, in the order of the constants.
	Problems []RepairCount
	// Duplicates are the records that are one and the same.
	Duplicates []Duplicate
	// Unreadable are the secrets that cannot be read. They were not touched.
	Unreadable []Unreadable

	// Done: the run came to its end, and nothing went wrong. If not, Next is where another one
	// can go on (RepairOptions.From); empty: at the beginning.
	Done bool
	Next string
	// Again is when another run is of use: after a rebuild, for what other processes were
	// doing in the index that it replaced, and where something is waiting. Zero: it is not.
	Again time.Duration
}

// Count returns how often a problem was met.
func (r RepairReport) Count(p Problem) RepairCount {
	for _, c := range r.Problems {
		if c.Problem == p {
			return c
		}
	}
	return RepairCount{Problem: p}
}

// Clean reports whether nothing is left to be mended: by a run or, where that takes a
// decision or another tool, by hand.
func (r RepairReport) Clean() bool {
	return r.Done && !slices.ContainsFunc(r.Problems, func(c RepairCount) bool { return c.Found > c.Fixed })
}

// String returns the report in a few lines: the numbers, and of what needs a hand the names
// of secrets.
func (r RepairReport) String() string {
	var b strings.Builder
	_, _ = fmt.Fprintf(&b, "%d records, %d tombstones, %d index secrets", r.Records, r.Tombstones, r.IndexSecrets)
	for _, c := range r.Problems {
		_, _ = fmt.Fprintf(&b, "\n%s: %d found, %d fixed", c.Problem, c.Found, c.Fixed)
		if c.Waiting > 0 {
			_, _ = fmt.Fprintf(&b, ", %d waiting", c.Waiting)
		}
	}
	for _, u := range r.Unreadable {
		_, _ = fmt.Fprintf(&b, "\nsecret %s: %v", u.Name, u.Err)
	}
	if !r.Done {
		b.WriteString("\nnot done")
	}
	if r.Again > 0 {
		_, _ = fmt.Fprintf(&b, "\nrun it again in %v", r.Again)
	}
	return b.String()
}

func (r *repair) count(p Problem) *RepairCount {
	c := r.counts[p]
	if c == nil {
		c = &RepairCount{Problem: p}
		r.counts[p] = c
	}
	return c
}

// wait counts what is too young, and due some time later.
func (r *repair) wait(p Problem, due time.Duration) {
	r.count(p).Waiting++
	r.again(due)
}

// again advises another run.
func (r *repair) again(due time.Duration) {
	if r.report.Again == 0 || due < r.report.Again {
		r.report.Again = max(due.Round(time.Second), time.Second)
	}
}

// unreadable lists a secret.
func (r *repair) unreadable(name string, err error) error {
	if r.listed[name] {
		return nil
	}
	r.listed[name] = true
	r.count(UnreadableSecret).Found++
	r.report.Unreadable = append(r.report.Unreadable, Unreadable{name, err})
	if errors.Is(err, ErrPermission) {
		return r.denied()
	}
	return nil
}

// maxDenied is after how many secrets that may not be read a run ends: then it is no
// matter of single ones.
const maxDenied = 20

func (r *repair) denied() error {
	n := 0
	for _, u := range r.report.Unreadable {
		if errors.Is(u.Err, ErrPermission) {
			n++
		}
	}
	if n < maxDenied {
		return nil
	}
	return fmt.Errorf("%w: %d secrets may not be read", ErrPermission, n)
}

func (r *repair) finish(done bool) {
	r.report.Done = done
	switch {
	case done:
	case len(r.failures) > 0:
		r.report.Next = r.failedAt.String()
	default:
		r.report.Next = r.at.String()
	}
	for _, p := range allProblems {
		if c := r.counts[p]; c != nil && *c != (RepairCount{Problem: p}) {
			r.report.Problems = append(r.report.Problems, *c)
		}
	}
}
