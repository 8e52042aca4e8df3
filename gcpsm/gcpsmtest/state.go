package gcpsmtest

import (
	"slices"
	"strconv"
	"time"

	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// A secret is one state of a secret. States are never changed: a write clones
// the newest and stores the clone, so that reads can be late.
type secret struct {
	resource
	seq      int        // order of creation
	meta     *pb.Secret // as it is answered
	next     int64      // the number of the next version
	versions []*version // oldest first; numbers may be missing
	plans    int        // versions with a scheduled destruction
}

// A version is one state of a version; it is never changed either.
type version struct {
	number    int64
	state     pb.SecretVersion_State
	payload   []byte // nil once destroyed
	checked   bool   // the client sent a checksum
	created   time.Time
	destroyed time.Time // zero before
	scheduled time.Time // when it will be destroyed; zero if not planned
	etag      string
	keys      *keys // the KMS keys that it is encrypted with
}

// clone copies the state for a write. The metadata is shared: who changes it
// clones it.
func (s *secret) clone() *secret {
	c := *s
	c.versions = slices.Clone(s.versions)
	return &c
}

// find returns the version with the number, or nil.
func (s *secret) find(number int64) *version {
	if i, ok := s.index(number); ok {
		return s.versions[i]
	}
	return nil
}

func (s *secret) index(number int64) (int, bool) {
	return slices.BinarySearchFunc(s.versions, number, func(v *version, n int64) int { return int(v.number - n) })
}

// put replaces the version with v's number, or adds v, in a state that nobody
// has seen yet.
func (s *secret) put(v *version) {
	if !v.scheduled.IsZero() {
		s.plans++
	}
	i, found := s.index(v.number)
	if !found {
		s.versions = slices.Insert(s.versions, i, v)
		return
	}
	if !s.versions[i].scheduled.IsZero() {
		s.plans--
	}
	s.versions[i] = v
}

// resolve returns the number that latest or an alias means, 0 if none.
// "projects/*/secrets/*/versions/latest is an alias to the most recently created
// SecretVersion", whatever its state.
func (s *secret) resolve(name string) int64 {
	if name == latest {
		if len(s.versions) == 0 {
			return 0
		}
		return s.versions[len(s.versions)-1].number
	}
	return s.meta.GetVersionAliases()[name]
}

// number reads a version that is no alias.
func number(version string) (n int64, ok bool) {
	n, err := strconv.ParseInt(version, 10, 64)
	return n, err == nil
}

// latest is the alias that every secret has.
const latest = "latest"

// active is true for the states that are paid for: enabled and disabled.
func (v *version) active() bool { return v.state != pb.SecretVersion_DESTROYED }

// message is the version as it is answered.
func (v *version) message(of resource) *pb.SecretVersion {
	m := &pb.SecretVersion{
		Name:                           of.at(v.number),
		CreateTime:                     timestamppb.New(v.created),
		State:                          v.state,
		Etag:                           v.etag,
		ClientSpecifiedPayloadChecksum: v.checked,
		DestroyTime:                    timeOrNil(v.destroyed),
		ScheduledDestroyTime:           timeOrNil(v.scheduled),
	}
	v.keys.describe(m)
	return m
}

func timeOrNil(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
