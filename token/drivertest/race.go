package drivertest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tokenkeep/tokenkeep/token/driver"
)

var promisesOfRaces = []promise{
	{"Of many who create one secret exactly one wins, and the others meet a conflict", raceToCreate},
	{"Of many who replace one revision exactly one wins, and the others meet a conflict", raceToReplace},
	{"Of many who replace one revision exactly one wins though answers are lost", raceWithLostAnswers},
	{"A counter that many increment loses nothing", countTogether},
	{"A counter that many increment loses nothing though answers are lost", countWithLostAnswers},
	{"Many goroutines may call all methods at once", callAtOnce},
}

const racers = 12

// race lets many put values of their own on prev, half of them through another
// driver, and makes sure that one wins. It returns the winner's write.
func (b *bench) race(name string, prev driver.Revision, value func() []byte) ([]byte, driver.Revision) {
	b.t.Helper()
	clients := []driver.Driver{b.d, b.other("").d}
	values := make([][]byte, racers)
	revs := make([]driver.Revision, racers)
	errs := make([]error, racers)
	for i := range racers {
		values[i] = value()
	}
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range racers {
		wg.Go(func() {
			<-start
			revs[i], errs[i] = clients[i%2].Put(b.t.Context(), name, values[i], prev)
		})
	}
	close(start)
	wg.Wait()
	winner := -1
	for i, err := range errs {
		switch {
		case err == nil && winner < 0:
			winner = i
		case err == nil:
			b.t.Fatal("two of the racers won")
		case !errors.Is(err, driver.ErrConflict):
			b.t.Fatalf("a loser's error is %v, want %v", err, driver.ErrConflict)
		}
	}
	if winner < 0 {
		b.t.Fatal("none of the racers won")
	}
	return values[winner], revs[winner]
}

func raceToCreate(t *testing.T, b *bench) {
	for i := range 5 {
		name := fmt.Sprintf("a%d", i)
		value, rev := b.race(name, driver.Absent, func() []byte { return first(t) })
		b.stands(name, value, rev)
	}
}

func raceToReplace(t *testing.T, b *bench) {
	value := first(t)
	rev := b.put("a", value, driver.Absent)
	for range 5 {
		value, rev = b.race("a", rev, func() []byte { return after(t, value) })
	}
	b.stands("a", value, rev)
}

func raceWithLostAnswers(t *testing.T, b *bench) {
	value := first(t)
	rev := b.put("a", value, driver.Absent)
	for n := 1; n <= 3; n++ {
		b.suite.LoseAnswers(t, b.bare, n)
		value, rev = b.race("a", rev, func() []byte { return after(t, value) })
		b.suite.LoseAnswers(t, b.bare, 0)
	}
	b.stands("a", value, rev)
}

// Together they write less than codec.HistoryLen times: a write whose answer is
// lost finds its name in the history however long it takes to ask.
func countWithLostAnswers(t *testing.T, b *bench) {
	b.suite.LoseAnswers(t, b.bare, 5)
	defer b.suite.LoseAnswers(t, b.bare, 0)
	b.count(5, 3)
}

func countTogether(t *testing.T, b *bench) { b.count(8, 5) }

// count lets clients, each with a driver of its own, increment one counter so
// many times each.
func (b *bench) count(clients, times int) {
	b.t.Helper()
	var wg sync.WaitGroup
	for range clients {
		client := b.other("")
		wg.Go(func() {
			for range times {
				if err := client.increment("counter"); err != nil {
					b.t.Errorf("increment: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	if b.t.Failed() {
		return
	}
	b.eventually("all increments are counted", func() bool {
		item := b.get(driver.Fresh, "counter")
		return item.Revision != driver.Absent && countOf(b.t, item.Value) == clients*times-1
	})
}

// increment is the loop of everybody who changes a secret. It runs beside the
// test, so it returns its error.
func (b *bench) increment(name string) error {
	for {
		items, err := b.d.Get(b.t.Context(), driver.Fresh, driver.Item{Name: name})
		if err != nil {
			return err
		}
		if items[0].Err != nil {
			return items[0].Err
		}
		_, err = b.d.Put(b.t.Context(), name, counted(b.t, items[0].Value), items[0].Revision)
		if !errors.Is(err, driver.ErrConflict) {
			return err
		}
		b.suite.Settle(b.t, b.bare)
	}
}

func callAtOnce(t *testing.T, b *bench) {
	values := map[string][]byte{}
	revs := map[string]driver.Revision{}
	for i := range racers {
		name := fmt.Sprintf("a%d", i)
		values[name] = first(t)
		revs[name] = b.put(name, values[name], driver.Absent)
		b.settled(name, revs[name])
	}
	b.lists(keys(values)...)
	var wg sync.WaitGroup
	var listed atomic.Int64
	for i := range racers {
		mine := fmt.Sprintf("a%d", i)
		next := fmt.Sprintf("a%d", (i+1)%racers)
		wg.Go(func() {
			if _, err := b.d.Put(t.Context(), mine, after(t, values[mine]), revs[mine]); err != nil {
				t.Errorf("Put(%s): %v", mine, err)
			}
		})
		wg.Go(func() {
			items, err := b.d.Get(t.Context(), driver.Any, named(mine, "none", next)...)
			if err != nil || items[0].Err != nil || items[2].Err != nil {
				t.Errorf("Get(%s, %s): %v, %+v", mine, next, err, items)
				return
			}
			if items[1].Revision != driver.Absent {
				t.Error("Get finds what never was")
			}
		})
		wg.Go(func() {
			for _, err := range b.d.Names(t.Context()) {
				if err != nil {
					t.Errorf("Names: %v", err)
				}
				listed.Add(1)
			}
		})
		wg.Go(func() {
			if err := b.d.Delete(t.Context(), "none-"+mine); err != nil {
				t.Errorf("Delete: %v", err)
			}
			_ = b.d.Limits()
		})
	}
	wg.Wait()
	if got := listed.Load(); got != racers*racers {
		t.Errorf("%d listings of %d names yield %d", racers, racers, got)
	}
}
