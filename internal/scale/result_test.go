package scale

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// measuredFile holds what was measured in full.
const measuredFile = "testdata/measured.json"

// A result is what was measured of one scenario.
type result struct {
	Scenario, Variant, Service string
	Processes                  int `json:",omitempty"`
	Tokens                     int // records at the end
	Ops                        map[string]opResult
	Calls                      map[string]int
	Refused, Errors            map[string]int `json:",omitempty"`
	// Limits are callers who were told that a secret was written too often.
	Limits                    int
	IndexWrites, RecordWrites int
	Index                     shape
	// Rested is how many index secrets are left when a storm or an import is over.
	Rested int `json:",omitempty"`
	// Charged and Pending are secrets: charged for, and marked for deletion.
	Charged, Pending int
	// Month is what is stored costs a month, Price what the calls cost.
	Month, Price float64
	// Seconds are those of the bubble.
	Seconds float64
	// Heap is what a store had in memory, in bytes.
	Heap int `json:",omitempty"`
	// HeapOfList is what a listing had in memory at most.
	HeapOfList int `json:",omitempty"`
}

// An opResult is what operations of a kind took: calls in the mean and at most, and
// milliseconds.
type opResult struct {
	Times         int
	Calls         float64
	MaxCalls      int
	Methods       map[string]int // all calls, by method
	P50, P99, Max int
}

func (r *result) id() string {
	return r.Service + " " + r.Scenario + " " + r.Variant + fmt.Sprintf(" %7d", r.size())
}

// size tells results of the same scenario apart if that is about sizes.
func (r *result) size() int {
	if r.Scenario == "growth" {
		return r.Tokens
	}
	return 0
}

// more is what a scenario itself knows.
type more struct{ Processes, Tokens, Heap, HeapOfList int }

func (r *run) result(m more) *result {
	calls, refused := r.calls().kinds()
	charged, pending := r.stored()
	month, price := r.price()
	res := &result{
		Service: r.name(), Processes: m.Processes, Tokens: m.Tokens, Heap: m.Heap, HeapOfList: m.HeapOfList,
		Ops: map[string]opResult{}, Calls: calls, Refused: refused, Errors: r.errs, Limits: r.limits,
		IndexWrites:  r.calls().count(func(c call) bool { return c.Write && c.Index }),
		RecordWrites: r.calls().count(func(c call) bool { return c.Write && !c.Index }),
		Index:        shapeOf(r, r.service), Charged: charged, Pending: pending, Month: month, Price: price,
		Seconds: time.Since(r.began).Seconds(),
	}
	for kind, o := range r.ops {
		res.Ops[kind] = o.result()
	}
	return res
}

// keep writes a result to the file of those that were measured in full.
func (r *run) keep(scenario, variant string, res *result) {
	res.Scenario, res.Variant = scenario, variant
	text, err := json.Marshal(res)
	if err != nil {
		r.Fatal(err)
	}
	r.progress("%s", text)
	if !*full {
		return
	}
	all, err := readMeasured()
	if err == nil {
		all = slices.DeleteFunc(all, func(o *result) bool { return o.id() == res.id() })
		all = append(all, res)
		slices.SortFunc(all, func(a, b *result) int { return strings.Compare(a.id(), b.id()) })
		if text, err = json.MarshalIndent(all, "", "\t"); err == nil {
			err = os.WriteFile(measuredFile, append(text, '\n'), 0o600)
		}
	}
	if err != nil {
		r.Fatal(err)
	}
}

func readMeasured() ([]*result, error) {
	text, err := os.ReadFile(measuredFile)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []*result
	err = json.Unmarshal(text, &all)
	return all, err
}
