package stage

import (
	"maps"
	"os/exec"
	"runtime"
	"testing"
	"time"
)

func TestWhatARunLeavesIsSweptWhenItsProcessIsGoneOrItsTimeIsOver(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is no /proc to tell processes by")
	}
	now := time.Now()
	me := self(now.Add(time.Hour))
	if me.boot == "" || me.namespace == "" || me.start == "" {
		t.Fatalf("of this process only %+v is known", me)
	}
	ended := exec.CommandContext(t.Context(), "true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		change func(*owner)
		gone   bool
	}{
		{"this run", func(*owner) {}, false},
		{"this run, which takes longer than it said", func(o *owner) { o.until = now.Add(-time.Second) }, false},
		{"a process that has ended", func(o *owner) { o.process = ended.Process.Pid }, true},
		{"a process whose id another one has now", func(o *owner) { o.start = "1" }, true},
		{"a process whose start is not told", func(o *owner) { o.start = "" }, false},
		{"another namespace", func(o *owner) { o.namespace, o.process = "pid:[1]", ended.Process.Pid }, false},
		{"another namespace, later", func(o *owner) { o.namespace, o.until = "pid:[1]", now.Add(-time.Second) }, true},
		{"another boot", func(o *owner) { o.boot, o.process = "another", ended.Process.Pid }, false},
		{"another boot, later", func(o *owner) { o.boot, o.until = "another", now.Add(-time.Second) }, true},
		{"nobody knows who", func(o *owner) { *o = owner{until: o.until} }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			it := me
			c.change(&it)
			if gone := ownerOf(it.labels("session")).gone(me, now); gone != c.gone {
				t.Errorf("it is gone: %v", gone)
			}
		})
	}
	t.Run("labels without a time", func(t *testing.T) {
		labels := maps.Clone(me.labels("session"))
		labels[bootLabel] = ""
		delete(labels, untilLabel)
		if !ownerOf(labels).gone(me, now) {
			t.Error("it stays for ever")
		}
	})
}
