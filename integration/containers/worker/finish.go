package main

import (
	"context"
	"strconv"

	"github.com/tokenkeep/tokenkeep/integration/containers/oplog"
	"github.com/tokenkeep/tokenkeep/token"
)

// finish looks at the store when all others have ended: what there is to repair, all records
// and what each of their keys finds; it repairs, and looks again; and writes each record once
// more.
func (w *worker) finish(ctx context.Context) error {
	w.repair(ctx, "before", true)
	listed := w.look(ctx)
	w.repair(ctx, "mend", false)
	w.repair(ctx, "after", true)
	seen := map[int]bool{}
	var c client
	for _, r := range listed {
		seen[r.User] = true
		op := func(b oplog.Begin) {
			b.User, b.Final = r.User, true
			w.do(ctx, &c, b, nil)
		}
		op(oplog.Begin{Do: "find by user"})
		op(oplog.Begin{Do: "find by id", ID: r.ID})
		if r.Refresh != 0 {
			op(oplog.Begin{Do: "find by refresh", Refresh: r.Refresh})
		}
		op(oplog.Begin{Do: "update", ID: r.ID, Mark: w.mark()})
		op(oplog.Begin{Do: "save refresh", Refresh: w.newToken(), Mark: w.mark()})
		op(oplog.Begin{Do: "find by user"})
	}
	for _, u := range users(w.length) {
		if !seen[u] {
			w.do(ctx, &c, oplog.Begin{Do: "find by user", User: u, Final: true}, nil)
		}
	}
	return nil
}

// look lists the records, and asks for each by each of its keys.
func (w *worker) look(ctx context.Context) []oplog.Record {
	var records []oplog.Record
	for t, err := range w.store.All(ctx) {
		if err != nil {
			w.write(oplog.Line{Problem: "the records cannot be listed: " + err.Error()})
			return records
		}
		r, err := recordOf(t)
		if err != nil {
			w.write(oplog.Line{Problem: err.Error()})
		}
		records = append(records, r)
		found := map[string]string{}
		find := func(key string, query *token.OAuthToken) {
			got, err := w.store.FindToken(ctx, query)
			if err != nil {
				found[key] = err.Error()
				return
			}
			found[key] = got.ID
		}
		find("id", &token.OAuthToken{ID: r.ID})
		find("user", &token.OAuthToken{UserSignature: token.UserSignature{Name: userName + strconv.Itoa(r.User)}})
		if r.Refresh != 0 {
			find("refresh", &token.OAuthToken{RefreshToken: t.RefreshToken})
		}
		w.write(oplog.Line{Look: &oplog.Look{Record: r, Found: found}})
	}
	return records
}

// repair runs the repair and writes down what it found.
func (w *worker) repair(ctx context.Context, run string, dry bool) {
	report, err := w.store.Repair(ctx, token.RepairOptions{DryRun: dry, OldVersions: true})
	r := oplog.Repair{Run: run, Records: report.Records, Done: report.Done, Problems: map[string]oplog.Count{}}
	if err != nil {
		r.Err = err.Error()
	}
	for _, c := range report.Problems {
		r.Problems[string(c.Problem)] = oplog.Count{Found: c.Found, Fixed: c.Fixed, Waiting: c.Waiting}
	}
	w.write(oplog.Line{Repair: &r})
}
