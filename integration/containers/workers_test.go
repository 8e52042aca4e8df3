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
	crew := startCrew(t, on, s, seed, *flagSoak)
	m := &trouble{crew: crew, faults: map[string]int{}}
	m.make(t, crew.left()-absence-time.Second)
	run, err := crew.finish(t.Context())
	if err != nil {
		t.Error(err)
	}
	row := judge.Row{Service: name, Mode: on.Mode(), Ran: *flagSoak, Faults: m.faults, Verdict: judge.Judge(run)}
	t.Logf("seed %d\n%s\n%s", seed, judge.Head, row)
	t.Attr("workers", row.String())
	report(t, row, seed)
	if n := m.count(); n < 20 {
		t.Errorf("only %d faults", n)
	}
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
	if row.Operations == 0 || row.Outcomes["done"]+row.Outcomes["not found"] < row.Operations/2 {
		t.Errorf("of %d operations %d were done", row.Operations, row.Outcomes["done"])
	}
}

func (m *trouble) count() (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, times := range m.faults {
		n += times
	}
	return n
}
