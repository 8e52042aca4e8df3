// Package rule names the safety rules of tokenkeep, so that a test build can
// switch one of them off and see its tests fail. A rule whose removal nothing
// notices is not tested.
//
// A normal build cannot switch anything off: [Off] is constant there, and the
// compiler removes what stands behind it. A build with the tag mutants reads
// the rule that is off from the environment variable TOKENKEEP_MUTANT.
package rule

// A Rule is one safety rule.
type Rule string

// The rules.
const (
	// CAS: a write replaces the revision that it names and no other.
	CAS Rule = "cas"
	// WriteID: a write that finds its own write id knows that it won.
	WriteID Rule = "write-id"
	// Claim: a record gains a key only after the index names the record under it.
	Claim Rule = "claim"
	// Base: a record gains a key only from the seq that it was claimed at.
	Base Rule = "base"
	// Fence: a pending claim of another record is fenced before it is overruled.
	Fence Rule = "fence"
	// Tombstone: a deleted record leaves one, and no late write creates it again.
	Tombstone Rule = "tombstone"
	// Recheck: a record is compared with the query before it is returned.
	Recheck Rule = "recheck"
	// Floor: a store never goes back behind what it saw or wrote itself.
	Floor Rule = "floor"
	// Gap: a number that is missing below one that exists is waited for.
	Gap Rule = "gap"
	// Winner: only a write that won destroys versions, and only those below its own.
	Winner Rule = "winner"
	// Seal: a leaf that is sealed is not written any more, others take its place.
	Seal Rule = "seal"
	// Once: an id that the store made comes to life once.
	Once Rule = "once"
	// Intent: a refresh token is sent by who wrote into the record that he will.
	Intent Rule = "intent"
	// Time: a refresh token is sent early enough to be answered within the lease.
	Time Rule = "time"
	// Lapse: a lease is taken over when it was known for as long as it says.
	Lapse Rule = "lapse"
	// Fenced: new tokens are stored over the refresh token that was spent for them.
	Fenced Rule = "fenced"
	// Belief: a refused refresh token is dead if the record did not change meanwhile.
	Belief Rule = "belief"
	// Keep: new tokens that cannot be stored are kept until they can.
	Keep Rule = "keep"
	// FreshList: what looks like an empty store is listed before it is one.
	FreshList Rule = "fresh-list"
)

// All are the rules: each is one mutant.
var All = []Rule{
	CAS, WriteID, Claim, Base, Fence, Tombstone, Recheck, Floor, FreshList, Gap, Winner, Seal, Once,
	Intent, Time, Lapse, Fenced, Belief, Keep,
}
