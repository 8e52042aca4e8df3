package awssmtest

import (
	"bytes"
	"slices"
	"time"
)

const (
	current  = "AWSCURRENT"
	previous = "AWSPREVIOUS"
	pending  = "AWSPENDING"
)

// A secret is one state of a secret. States are never changed: a write clones
// the newest and stores the clone, so that stale reads can be served.
type secret struct {
	name, arn   string
	seq         int // order of creation
	description string
	kmsKey      string // empty: aws/secretsmanager
	tags        []tag  // nil until the first tag
	created     time.Time
	changed     time.Time
	deletion    time.Time // when a scheduled deletion is due; zero if there is none
	versions    []version // oldest first
}

type version struct {
	id      string
	seq     int
	text    *string
	binary  []byte
	created time.Time
	stages  []string // sorted; replaced, never changed
	kmsKey  string   // the key that it is encrypted with
}

type tag struct {
	Key, Value *string
}

func (s *secret) scheduled() bool { return !s.deletion.IsZero() }

func (s *secret) clone(now time.Time) *secret {
	c := *s
	c.versions = slices.Clone(s.versions)
	c.changed = now
	return &c
}

// version returns the version with the id, or nil. Change it only in a clone.
func (s *secret) version(id string) *version {
	for i := range s.versions {
		if s.versions[i].id == id {
			return &s.versions[i]
		}
	}
	return nil
}

// holder returns the version that has the label, or nil.
func (s *secret) holder(stage string) *version {
	for i := range s.versions {
		if slices.Contains(s.versions[i].stages, stage) {
			return &s.versions[i]
		}
	}
	return nil
}

// same tells whether the version has the value in the request.
func (v *version) same(in *input) bool {
	if (v.text == nil) != (in.SecretString == nil) {
		return false
	}
	if v.text != nil {
		return *v.text == *in.SecretString
	}
	return bytes.Equal(v.binary, in.SecretBinary)
}

func (v *version) attach(stage string) {
	if !slices.Contains(v.stages, stage) {
		v.stages = append(slices.Clone(v.stages), stage)
		slices.Sort(v.stages)
	}
}

func (v *version) detach(stage string) {
	v.stages = slices.DeleteFunc(slices.Clone(v.stages), func(s string) bool { return s == stage })
}

// move attaches the label to the version and takes it from where it was. "If
// this operation moves AWSCURRENT from another version to this version, then
// Secrets Manager also automatically moves AWSPREVIOUS to the version that
// AWSCURRENT was removed from."
func (s *secret) move(stage string, to *version) {
	from := s.holder(stage)
	if from == to {
		return
	}
	if from != nil {
		from.detach(stage)
	}
	to.attach(stage)
	if stage == current && from != nil {
		s.move(previous, from)
	}
}

// labels counts the labels on all versions.
func (s *secret) labels() int {
	n := 0
	for i := range s.versions {
		n += len(s.versions[i].stages)
	}
	return n
}

// makeRoom removes versions without labels that are older than 24 hours, the
// oldest first, until there is room for one more. "Secrets Manager deprecates
// versions with no staging labels and removes them when there are more than
// 100. Secrets Manager doesn't remove versions created less than 24 hours ago."
// The id of a removed version is free again.
func (s *secret) makeRoom(now time.Time) *Error {
	excess := len(s.versions) + 1 - maxVersions
	s.versions = slices.DeleteFunc(s.versions, func(v version) bool {
		if excess <= 0 || len(v.stages) > 0 || now.Sub(v.created) < keepVersions {
			return false
		}
		excess--
		return true
	})
	if excess > 0 {
		return errVersionQuota()
	}
	return nil
}
