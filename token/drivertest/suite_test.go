package drivertest_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/token/drivertest"
)

// A suite that fails fails the test that runs it, so that happens in a process of
// its own.
const inner = "DRIVERTEST_INNER"

func TestASuiteThatLacksAHookFailsAndSaysWhatItHasToDo(t *testing.T) {
	if os.Getenv(inner) != "" {
		drivertest.Suite{New: func(t *testing.T) driver.Driver {
			t.Error("a test ran")
			return nil
		}}.Run(t)
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), inner+"=1")
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Fatalf("it passes:\n%s", out)
	}
	for _, hook := range []string{"Other", "Settle", "LoseAnswers", "FailRequests", "Deny", "Damage", "HoldWrite"} {
		if want := "Suite." + hook + " is not set: it has to "; !strings.Contains(string(out), want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
	for _, not := range []string{"Suite.New is not set", "a test ran"} {
		if strings.Contains(string(out), not) {
			t.Errorf("it says %q:\n%s", not, out)
		}
	}
}
