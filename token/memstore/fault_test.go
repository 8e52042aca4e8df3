package memstore_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/token/memstore"
)

// record is a value that follows stored, or the first one if that is nil.
func record(t *testing.T, stored []byte) []byte {
	t.Helper()
	r := &codec.Record{ID: "id"}
	if stored != nil {
		var err error
		if r, err = codec.DecodeRecord(stored); err != nil {
			t.Fatal(err)
		}
	}
	write, err := codec.NewWriteID(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r.Frame = r.Next(codec.KindToken, write)
	value, err := codec.EncodeRecord(r)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func put(t *testing.T, d *memstore.Driver, name string, value []byte, prev driver.Revision) driver.Revision {
	t.Helper()
	rev, err := d.Put(t.Context(), name, value, prev)
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

func get(t *testing.T, d *memstore.Driver, name string) driver.Item {
	t.Helper()
	items, err := d.Get(t.Context(), driver.Any, driver.Item{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return items[0]
}

// once makes the next put go wrong.
func once(d *memstore.Driver, f memstore.Fault) {
	d.OnCall(func(context.Context, memstore.Call) memstore.Fault {
		now := f
		f = memstore.Fault{}
		return now
	})
}

func TestFaults(t *testing.T) {
	unavailable := fmt.Errorf("%w: 503", driver.ErrUnavailable)
	tests := []struct {
		name    string
		fault   memstore.Fault
		want    error
		applied bool // at once
		late    bool // by Deliver
	}{
		{name: "nothing goes wrong", applied: true},
		{name: "it fails before it is applied", fault: memstore.Fault{Before: unavailable}, want: driver.ErrUnavailable},
		{name: "it fails after it was applied", fault: memstore.Fault{After: driver.ErrOutcomeUnknown},
			want: driver.ErrOutcomeUnknown, applied: true},
		{name: "its answer is lost", fault: memstore.Fault{Lost: true}, applied: true},
		{name: "it is late", fault: memstore.Fault{Late: true}, want: driver.ErrOutcomeUnknown, late: true},
	}
	for _, tt := range tests {
		t.Run("Put: "+tt.name, func(t *testing.T) {
			d := memstore.NewDriver()
			old := record(t, nil)
			rev := put(t, d, "a", old, driver.Absent)
			value := record(t, old)
			once(d, tt.fault)
			if _, err := d.Put(t.Context(), "a", value, rev); !errors.Is(err, tt.want) {
				t.Fatalf("Put: error %v, want %v", err, tt.want)
			}
			if got := string(d.Dump()["a"]) == string(value); got != tt.applied {
				t.Errorf("applied: %v, want %v", got, tt.applied)
			}
			d.Deliver()
			if got := string(d.Dump()["a"]) == string(value); got != (tt.applied || tt.late) {
				t.Errorf("applied after Deliver: %v, want %v", got, tt.applied || tt.late)
			}
		})
		t.Run("Delete: "+tt.name, func(t *testing.T) {
			d := memstore.NewDriver()
			put(t, d, "a", record(t, nil), driver.Absent)
			once(d, tt.fault)
			if err := d.Delete(t.Context(), "a"); !errors.Is(err, tt.want) {
				t.Fatalf("Delete: error %v, want %v", err, tt.want)
			}
			if got := len(d.Dump()) == 0; got != tt.applied {
				t.Errorf("deleted: %v, want %v", got, tt.applied)
			}
			d.Deliver()
			if got := len(d.Dump()) == 0; got != (tt.applied || tt.late) {
				t.Errorf("deleted after Deliver: %v, want %v", got, tt.applied || tt.late)
			}
		})
	}
}

func TestFaultsOfReads(t *testing.T) {
	tests := []struct {
		name  string
		fault memstore.Fault
		want  error
		names []string // that Names yields
	}{
		{"nothing goes wrong", memstore.Fault{}, nil, []string{"a", "b"}},
		{"it fails before", memstore.Fault{Before: driver.ErrPermission}, driver.ErrPermission, nil},
		{"it fails after", memstore.Fault{After: driver.ErrUnavailable}, driver.ErrUnavailable, []string{"a", "b"}},
		{"its answer is lost", memstore.Fault{Lost: true}, nil, []string{"a", "b"}},
		{"it is late", memstore.Fault{Late: true}, driver.ErrUnavailable, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := memstore.NewDriver()
			put(t, d, "a", record(t, nil), driver.Absent)
			put(t, d, "b", record(t, nil), driver.Absent)
			once(d, tt.fault)
			if _, err := d.Get(t.Context(), driver.Any, driver.Item{Name: "a"}); !errors.Is(err, tt.want) {
				t.Errorf("Get: error %v, want %v", err, tt.want)
			}
			once(d, tt.fault)
			var names []string
			var failure error
			for name, err := range d.Names(t.Context()) {
				if failure = err; err == nil {
					names = append(names, name)
				}
			}
			if !errors.Is(failure, tt.want) {
				t.Errorf("Names: error %v, want %v", failure, tt.want)
			}
			if diff := cmp.Diff(tt.names, names); diff != "" {
				t.Errorf("Names (-want +got):\n%s", diff)
			}
		})
	}
}

func TestALateWriteReplacesItsPrevOrNothing(t *testing.T) {
	d := memstore.NewDriver()
	old := record(t, nil)
	rev := put(t, d, "a", old, driver.Absent)
	once(d, memstore.Fault{Late: true})
	if _, err := d.Put(t.Context(), "a", record(t, old), rev); !errors.Is(err, driver.ErrOutcomeUnknown) {
		t.Fatal(err)
	}
	value := record(t, old)
	put(t, d, "a", value, rev)
	d.Deliver()
	if got := d.Dump()["a"]; string(got) != string(value) {
		t.Errorf("a late write replaced another than its prev")
	}
}

// between runs other when the answer to the first call was lost, before the same
// call is sent again.
func between(d *memstore.Driver, other func()) {
	d.OnCall(func(_ context.Context, c memstore.Call) memstore.Fault {
		if c.Again {
			other()
		}
		return memstore.Fault{Lost: !c.Again}
	})
}

func TestALostAnswerIsSettledBelowTheWritesOfOthers(t *testing.T) {
	for _, tt := range []struct {
		others int
		want   error
	}{
		{0, nil},
		{1, nil},
		{codec.HistoryLen, nil},
		{codec.HistoryLen + 1, driver.ErrOutcomeUnknown}, // the history has forgotten it
	} {
		t.Run(fmt.Sprint(tt.others), func(t *testing.T) {
			d := memstore.NewDriver()
			peer := d.Under("")
			old := record(t, nil)
			rev := put(t, d, "a", old, driver.Absent)
			value := record(t, old)
			var mine driver.Revision
			between(d, func() {
				item := get(t, peer, "a")
				mine = item.Revision
				for range tt.others {
					item.Value = record(t, item.Value)
					item.Revision = put(t, peer, "a", item.Value, item.Revision)
				}
			})
			got, err := d.Put(t.Context(), "a", value, rev)
			if !errors.Is(err, tt.want) {
				t.Fatalf("Put: error %v, want %v", err, tt.want)
			}
			if err == nil && got != mine {
				t.Errorf("Put: revision %q, want that of its own write, %q", got, mine)
			}
		})
	}
}

func TestALostAnswerIsUnknownIfTheSecretWasDeletedSince(t *testing.T) {
	d := memstore.NewDriver()
	old := record(t, nil)
	rev := put(t, d, "a", old, driver.Absent)
	between(d, func() { d.Remove("a") })
	if _, err := d.Put(t.Context(), "a", record(t, old), rev); !errors.Is(err, driver.ErrOutcomeUnknown) {
		t.Errorf("Put: error %v, want %v", err, driver.ErrOutcomeUnknown)
	}
}

func TestAFailureAfterALostAnswerIsUnknown(t *testing.T) {
	d := memstore.NewDriver()
	d.OnCall(func(_ context.Context, c memstore.Call) memstore.Fault {
		if c.Again {
			return memstore.Fault{Before: driver.ErrUnavailable}
		}
		return memstore.Fault{Lost: true}
	})
	_, err := d.Put(t.Context(), "a", record(t, nil), driver.Absent)
	if !errors.Is(err, driver.ErrOutcomeUnknown) || errors.Is(err, driver.ErrUnavailable) {
		t.Errorf("Put: error %v, want %v alone", err, driver.ErrOutcomeUnknown)
	}
}

func TestAContextThatEndsInTheHookEndsTheCall(t *testing.T) {
	d := memstore.NewDriver()
	ctx, cancel := context.WithCancel(t.Context())
	d.OnCall(func(context.Context, memstore.Call) memstore.Fault { cancel(); return memstore.Fault{} })
	_, err := d.Put(ctx, "a", record(t, nil), driver.Absent)
	if !errors.Is(err, context.Canceled) || errors.Is(err, driver.ErrOutcomeUnknown) || len(d.Dump()) != 0 {
		t.Errorf("Put: error %v, %d secrets; want %v and none", err, len(d.Dump()), context.Canceled)
	}

	ctx, cancel = context.WithCancel(t.Context())
	d.OnCall(func(_ context.Context, c memstore.Call) memstore.Fault {
		if c.Again {
			cancel()
		}
		return memstore.Fault{Lost: true}
	})
	_, err = d.Put(ctx, "a", record(t, nil), driver.Absent)
	if !errors.Is(err, context.Canceled) || !errors.Is(err, driver.ErrOutcomeUnknown) {
		t.Errorf("Put: error %v, want %v and %v", err, context.Canceled, driver.ErrOutcomeUnknown)
	}
}

func TestTheHookSeesEachCall(t *testing.T) {
	d := memstore.NewDriver()
	var calls []memstore.Call
	d.OnCall(func(_ context.Context, c memstore.Call) memstore.Fault {
		c.Names = slices.Clone(c.Names)
		calls = append(calls, c)
		return memstore.Fault{Lost: c.Op == memstore.OpPut && !c.Again}
	})
	put(t, d, "a", record(t, nil), driver.Absent)
	if _, err := d.Get(t.Context(), driver.Fresh, driver.Item{Name: "a"}, driver.Item{Name: "b"}); err != nil {
		t.Fatal(err)
	}
	for _, err := range d.Names(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	want := []memstore.Call{
		{Op: memstore.OpPut, Names: []string{"a"}},
		{Op: memstore.OpPut, Names: []string{"a"}, Again: true},
		{Op: memstore.OpGet, Names: []string{"a", "b"}},
		{Op: memstore.OpNames},
		{Op: memstore.OpDelete, Names: []string{"a"}},
	}
	if diff := cmp.Diff(want, calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}
