package memstore_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/token/memstore"
)

func TestNewKeepsTokens(t *testing.T) {
	for name, opts := range map[string]*token.Options{"nil options": nil, "zero options": {}} {
		t.Run(name, func(t *testing.T) {
			store, err := memstore.New(opts)
			if err != nil {
				t.Fatal(err)
			}
			saved := &token.OAuthToken{
				UserSignature: token.UserSignature{Name: "ann@example.com"},
				RefreshToken:  token.NewSecret("refresh"),
			}
			if err := store.SaveToken(t.Context(), saved); err != nil {
				t.Fatal(err)
			}
			found, err := store.FindTokenByID(t.Context(), saved.ID)
			if err != nil {
				t.Fatal(err)
			}
			if !found.RefreshToken.Equal(saved.RefreshToken) {
				t.Error("another token was found than was saved")
			}
		})
	}
}

func TestTwoStoresOfNewShareNothing(t *testing.T) {
	one, err := memstore.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	two, err := memstore.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	saved := &token.OAuthToken{RefreshToken: token.NewSecret("refresh")}
	if err := one.SaveToken(t.Context(), saved); err != nil {
		t.Fatal(err)
	}
	if _, err := two.FindTokenByID(t.Context(), saved.ID); !errors.Is(err, token.ErrNotFound) {
		t.Errorf("error %v, want %v", err, token.ErrNotFound)
	}
}

func TestStaleReadsGoBackToAbsence(t *testing.T) {
	d := memstore.NewDriver()
	var behind int
	var reads []memstore.Read
	d.Stale(func(_ context.Context, r memstore.Read) int {
		reads = append(reads, r)
		return behind
	})
	one := record(t, nil)
	rev := put(t, d, "a", one, driver.Absent)
	two := record(t, one)
	put(t, d, "a", two, rev)
	if err := d.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	three := record(t, nil)
	put(t, d, "a", three, driver.Absent)

	for i, want := range [][]byte{three, nil, two, one, nil, nil} {
		behind = i
		item := get(t, d, "a")
		if string(item.Value) != string(want) || (item.Revision == driver.Absent) != (want == nil) {
			t.Errorf("%d writes back: another state than it was", i)
		}
		listed := false
		for _, err := range d.Names(t.Context()) {
			listed = err == nil
		}
		if listed != (want != nil) {
			t.Errorf("%d writes back: listed is %v", i, listed)
		}
	}
	want := memstore.Read{Op: memstore.OpGet, Name: "a", How: driver.Any, Writes: 4}
	if diff := cmp.Diff(want, reads[0]); diff != "" {
		t.Errorf("what the hook is asked (-want +got):\n%s", diff)
	}

	d.Stale(nil)
	if got := get(t, d, "a"); string(got.Value) != string(three) {
		t.Error("without a hook a read is not current")
	}
}

func TestAStaleReadDoesNotMakeAWriteStale(t *testing.T) {
	d := memstore.NewDriver()
	d.Stale(func(context.Context, memstore.Read) int { return 1 })
	one := record(t, nil)
	rev := put(t, d, "a", one, driver.Absent)
	two := record(t, one)
	put(t, d, "a", two, rev)
	if _, err := d.Put(t.Context(), "a", record(t, one), get(t, d, "a").Revision); !errors.Is(err, driver.ErrConflict) {
		t.Errorf("Put on a stale read: error %v, want %v", err, driver.ErrConflict)
	}
}

func TestADeletedNameRests(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	d := memstore.NewDriver()
	d.SetClock(func() time.Time { return now })
	d.SetLimits(driver.Limits{DeletedNameRests: time.Hour})
	put(t, d, "a", record(t, nil), driver.Absent)
	if err := d.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Hour - 1)
	if item := get(t, d, "a"); !errors.Is(item.Err, driver.ErrDeleted) {
		t.Errorf("Get in the rest: error %v, want %v", item.Err, driver.ErrDeleted)
	}
	if _, err := d.Put(t.Context(), "a", record(t, nil), driver.Absent); !errors.Is(err, driver.ErrDeleted) {
		t.Errorf("Put in the rest: error %v, want %v", err, driver.ErrDeleted)
	}
	if err := d.Delete(t.Context(), "a"); err != nil { // does not prolong it
		t.Fatal(err)
	}
	now = now.Add(1)
	if item := get(t, d, "a"); item.Err != nil || item.Revision != driver.Absent {
		t.Errorf("Get after the rest: error %v, revision %q", item.Err, item.Revision)
	}
	put(t, d, "a", record(t, nil), driver.Absent)
}

func TestTheQuotaFillsUpEvenly(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	d := memstore.NewDriver()
	d.SetClock(func() time.Time { return now })
	d.SetLimits(driver.Limits{WritesPerDay: 24})
	value := record(t, nil)
	rev := put(t, d, "a", value, driver.Absent)
	write := func() error {
		next := record(t, value)
		got, err := d.Put(t.Context(), "a", next, rev)
		if err == nil {
			value, rev = next, got
		}
		return err
	}
	for range 23 {
		if err := write(); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := write(); !errors.Is(err, driver.ErrQuota) || !errors.Is(err, driver.ErrUnavailable) {
			t.Fatalf("the 25th write of the day: error %v, want %v", err, driver.ErrQuota)
		}
		now = now.Add(time.Hour)
		if err := write(); err != nil {
			t.Fatalf("an hour later: %v", err)
		}
	}
	put(t, d, "b", record(t, nil), driver.Absent)
}

func TestLimitsHaveADefault(t *testing.T) {
	d := memstore.NewDriver()
	want := driver.Limits{Value: 64 << 10}
	if diff := cmp.Diff(want, d.Limits()); diff != "" {
		t.Errorf("limits (-want +got):\n%s", diff)
	}
	d.SetLimits(driver.Limits{WritesPerDay: 100})
	want.WritesPerDay = 100
	if diff := cmp.Diff(want, d.Under("p").Limits()); diff != "" {
		t.Errorf("limits (-want +got):\n%s", diff)
	}
}

func TestAnOperatorSetsSeesAndRemoves(t *testing.T) {
	d := memstore.NewDriver()
	rev := put(t, d, "a", record(t, nil), driver.Absent)
	value := record(t, nil)
	d.Set("a", value)
	d.Set("binary", []byte{0xff})
	d.Set("empty", nil)
	d.Under("q").Set("other", value)
	want := map[string][]byte{"a": value, "binary": {0xff}, "empty": {}}
	if diff := cmp.Diff(want, d.Dump()); diff != "" {
		t.Errorf("Dump (-want +got):\n%s", diff)
	}
	if item := get(t, d, "a"); item.Revision == rev || string(item.Value) != string(value) {
		t.Error("what was set by hand is not read, or has the revision of what was before")
	}
	for _, name := range []string{"binary", "empty"} {
		if item := get(t, d, name); !errors.Is(item.Err, driver.ErrCorrupt) {
			t.Errorf("%s: error %v, want %v", name, item.Err, driver.ErrCorrupt)
		}
	}
	d.SetLimits(driver.Limits{DeletedNameRests: time.Hour})
	for name := range want {
		d.Remove(name)
	}
	if len(d.Dump()) != 0 {
		t.Error("Remove leaves something")
	}
	put(t, d, "a", record(t, nil), driver.Absent) // the name does not rest
}

func TestWhatIsAgainstTheContractIsInvalid(t *testing.T) {
	d := memstore.NewDriver()
	value := record(t, nil)
	for _, name := range []string{"", "-a", "a-", "A", "a_b", "a/b", "ä", fmt.Sprintf("%081d", 1)} {
		_, putting := d.Put(t.Context(), name, value, driver.Absent)
		_, getting := d.Get(t.Context(), driver.Any, driver.Item{Name: name})
		for _, err := range []error{putting, getting, d.Delete(t.Context(), name)} {
			if !errors.Is(err, driver.ErrInvalid) {
				t.Errorf("name %q: error %v, want %v", name, err, driver.ErrInvalid)
			}
		}
	}
	for _, value := range []string{"", "[]", "text", "{\"\xff\":1}"} {
		if _, err := d.Put(t.Context(), "a", []byte(value), driver.Absent); !errors.Is(err, driver.ErrInvalid) {
			t.Errorf("value %q: error %v, want %v", value, err, driver.ErrInvalid)
		}
	}
	twice := slices.Repeat([]driver.Item{{Name: "a"}}, 2)
	if _, err := d.Get(t.Context(), driver.Any, twice...); !errors.Is(err, driver.ErrInvalid) {
		t.Errorf("a name given twice: error %v, want %v", err, driver.ErrInvalid)
	}
}
