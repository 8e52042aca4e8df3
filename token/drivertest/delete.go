package drivertest

import (
	"errors"
	"testing"

	"github.com/tokenkeep/tokenkeep/token/driver"
)

var promisesOfDelete = []promise{
	{"Delete removes a secret, whatever its revision", deleteAny},
	{"Deleting what does not exist is no error", deleteAbsent},
	{"Deleting twice is no error", deleteTwice},
	{"A deleted secret is not replaced at its last revision", deleteThenReplace},
	{"A deleted name is free at once, or rests as Limits says", deleteThenCreate},
	{"Delete removes a corrupt secret too", deleteCorrupt},
	{"A refused Delete says so", deleteDenied},
}

func deleteAny(t *testing.T, b *bench) {
	value := first(t)
	rev := b.put("a", value, driver.Absent)
	b.settled("a", b.other("").put("a", after(t, value), rev)) // b has not seen that one
	kept := first(t)
	keptRev := b.put("b", kept, driver.Absent)
	b.delete("a")
	b.gone("a")
	b.stands("b", kept, keptRev)
}

func deleteAbsent(t *testing.T, b *bench) {
	b.delete("none")
	b.delete("none")
	b.lists()
}

func deleteTwice(t *testing.T, b *bench) {
	b.settled("a", b.put("a", first(t), driver.Absent))
	b.delete("a")
	b.delete("a")
	b.other("").delete("a")
	b.gone("a")
}

func deleteThenReplace(t *testing.T, b *bench) {
	value := first(t)
	rev := b.put("a", value, driver.Absent)
	b.delete("a")
	_, err := b.d.Put(t.Context(), "a", after(t, value), rev)
	if want := b.afterDelete(); !errors.Is(err, want) {
		t.Errorf("Put on the last revision of a deleted secret: error %v, want %v", err, want)
	}
	b.gone("a")
}

// afterDelete is the error of a Put that names a revision of a deleted secret.
func (b *bench) afterDelete() error {
	if b.d.Limits().DeletedNameRests > 0 {
		return driver.ErrDeleted
	}
	return driver.ErrConflict
}

func deleteThenCreate(t *testing.T, b *bench) {
	b.put("a", first(t), driver.Absent)
	b.delete("a")
	if b.d.Limits().DeletedNameRests > 0 {
		b.gone("a")
		b.refused("a", first(t), driver.Absent, driver.ErrDeleted)
		b.other("").refused("a", first(t), driver.Absent, driver.ErrDeleted)
		b.gone("a")
		return
	}
	value := first(t)
	b.stands("a", value, b.put("a", value, driver.Absent))
}

func deleteCorrupt(t *testing.T, b *bench) {
	b.put("a", first(t), driver.Absent)
	b.suite.Damage(t, b.bare, "a")
	b.delete("a")
	b.gone("a")
}

func deleteDenied(t *testing.T, b *bench) {
	value := first(t)
	rev := b.put("a", value, driver.Absent)
	b.suite.Deny(t, b.bare, true)
	defer b.suite.Deny(t, b.bare, false)
	if err := b.d.Delete(t.Context(), "a"); !errors.Is(err, driver.ErrPermission) {
		t.Errorf("Delete: error %v, want %v", err, driver.ErrPermission)
	}
	b.suite.Deny(t, b.bare, false)
	b.stands("a", value, rev)
}
