package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/tokenkeep/tokenkeep/integration/containers/oplog"
)

func TestTheLimitOfMemoryIsFoundInBothVersionsOfControlGroups(t *testing.T) {
	for _, c := range []struct {
		name, own string
		files     map[string]string
		want      string
	}{
		{"version 2, in a container", "0::/\n", map[string]string{"memory.max": "67108864\n"}, "67108864"},
		{"version 2, in a group", "0::/a/b\n", map[string]string{"a/b/memory.max": "max\n"}, "max"},
		{"version 1, in a container", "5:memory:/docker/a\n1:cpu:/docker/a\n", map[string]string{"memory/memory.limit_in_bytes": "67108864\n"}, "67108864"},
		{"version 1, in a group", "5:memory:/a\n", map[string]string{
			"memory/memory.limit_in_bytes": "9223372036854771712\n", "memory/a/memory.limit_in_bytes": "67108864\n",
		}, "67108864"},
		{"nothing is mounted", "0::/\n", nil, oplog.Unknown},
		{"nothing is told", "", nil, oplog.Unknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			own := filepath.Join(dir, "own")
			for name, text := range c.files {
				path := filepath.Join(dir, "mounted", name)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(own, []byte(c.own), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := memoryLimit(filepath.Join(dir, "mounted"), own); got != c.want {
				t.Errorf("the limit is %q, want %q", got, c.want)
			}
		})
	}
}

// What this process sees of itself fits what the test knows of it, and nothing stays of the
// attempts to write.
func TestAWorkerSeesItsConfinement(t *testing.T) {
	t.Chdir(t.TempDir())
	c := confined()
	if c.UID != os.Getuid() || c.GID != os.Getgid() || !c.DirWritable {
		t.Errorf("it sees %+v", c)
	}
	if c.Capabilities == "" || c.NoNewPrivs == "" || c.Memory == "" {
		t.Errorf("it says nothing of what it cannot see: %+v", c)
	}
	if left, err := os.ReadDir("."); err != nil || len(left) > 0 {
		t.Errorf("left in the directory: %v, %v", left, err)
	}
}

const status = "Name:\tworker\nVmPeak:\t 1300000 kB\nVmHWM:\t   33200 kB\nRssAnon:\t   18300 kB\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\n"

func TestAnAmountOfMemoryThatIsMissingIsToldApart(t *testing.T) {
	if n, ok := bytesOf(status, "VmHWM"); n != 33200<<10 || !ok {
		t.Errorf("VmHWM is %d, %v", n, ok)
	}
	for name, text := range map[string]string{"missing": "Name:\tworker\n", "empty": "VmHWM:\n", "in other units": "VmHWM:\t12 MB\n"} {
		if n, ok := bytesOf(text, "VmHWM"); n != 0 || ok {
			t.Errorf("where it is %s, VmHWM is %d, %v", name, n, ok)
		}
	}
	if got := statusField(status, "NoNewPrivs"); got != "1" {
		t.Errorf("NoNewPrivs is %q", got)
	}
}
