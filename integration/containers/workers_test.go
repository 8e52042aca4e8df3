package containers_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/integration/containers/judge"
	"github.com/tokenkeep/tokenkeep/integration/containers/stage"
)

// Four workers without a disk use one store, on each service, while they and the server are
// killed, paused and cut off from each other.
func TestWorkersKeepTheirPromisesWhileEverythingFails(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		server string
		start  func(*testing.T, stage.Stage) *service
	}{
		{"AWS", stage.AWSServer, func(t *testing.T, on stage.Stage) *service { return startDouble(t, on, "aws", stage.AWSServer) }},
		{"GCP", stage.GCPServer, func(t *testing.T, on stage.Stage) *service { return startDouble(t, on, "gcp", stage.GCPServer) }},
		{"Vault", stage.VaultServer, func(t *testing.T, on stage.Stage) *service { return startVault(t, on, 1) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			on := newStage(t, stage.Worker, c.server)
			workWhileAllFails(t, c.name, on, c.start(t, on))
		})
	}
}

// workWhileAllFails lets a crew work on a service while things go wrong, and judges it.
func workWhileAllFails(t *testing.T, name string, on stage.Stage, s *service) {
	t.Helper()
	seed := *flagSeed
	if seed == 0 {
		seed = 1 + rand.Int64N(1<<31)
	}
	t.Log("seed ", seed)
	crew := startCrew(t, on, s, seed, *flagSoak)
	m := &trouble{crew: crew, faults: map[string]int{}}
	m.make(t, crew.left()-2*time.Second)
	row := crew.judged(t, name, m)
	t.Attr("workers", row.String())
	m.enough(t, row, 20, time.Minute, m.kinds())
	if row.Unavailable > outage {
		t.Errorf("no operation succeeded for %v, and no fault is that long", row.Unavailable)
	}
}

// judged waits for the end of what a crew does, and judges it.
func (c *crew) judged(t *testing.T, name string, m *trouble) judge.Row {
	t.Helper()
	if m.late > 0 {
		t.Logf("%d faults ended up to %v after the time of the workers, and do not count", m.late, -c.left())
	}
	began := time.Now()
	run, err := c.finish(t.Context())
	if err != nil {
		t.Error(err)
	}
	run.Faults = m.felt
	looked := time.Now()
	row := judge.Row{Service: name, Mode: c.stage.Mode(), Faults: m.faults, Verdict: judge.Judge(run)}
	t.Logf("the end took %.1f s, and the judge %.1f s\n%s\n%s", looked.Sub(began).Seconds(), time.Since(looked).Seconds(), judge.Head, row)
	report(t, row, c.seed)
	confined(t, c.stage, append(run.Logs, run.Final)...)
	return row
}

// report fails the test for each violation.
func report(t *testing.T, row judge.Row, seed int64) {
	t.Helper()
	const most = 20
	for i, v := range row.Violations {
		if i == most {
			t.Errorf("and %d more", len(row.Violations)-most)
			return
		}
		t.Errorf("%v (again with -faults.seed=%d)\n%s", v, seed, strings.Join(v.Operations, "\n"))
	}
	// A server is away for half of the time. What went well may have found nothing, all the same.
	if went := row.Outcomes["done"] + row.Outcomes["not found"]; row.Operations == 0 || went < row.Operations/3 {
		t.Errorf("of %d operations %d went well", row.Operations, went)
	}
	if done := row.Outcomes["done"]; done < row.Operations/10 {
		t.Errorf("of %d operations %d are done", row.Operations, done)
	}
}
