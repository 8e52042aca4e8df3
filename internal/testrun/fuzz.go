package main

import (
	"context"
	"strings"
	"time"
)

// fuzz runs every fuzz target of every module for the given time each. It stops at
// nothing: a target that fails is counted and the next one runs.
func (r *run) fuzz(ctx context.Context, each time.Duration) error {
	modules, err := findModules(ctx)
	if err != nil {
		return err
	}
	type target struct{ dir, pkg, name string }
	var targets []target
	for _, m := range modules {
		var out strings.Builder
		list := r.command(ctx, m.dir, "go", "test", "-list", "^Fuzz", "./...")
		list.Stdout = &out
		if err := list.Run(); err != nil {
			r.check("go test -list in "+m.path, err)
			r.printf("%s", out.String())
			continue
		}
		// The names of a package's targets come before the line "ok <package> <time>".
		var names []string
		for line := range strings.Lines(out.String()) {
			fields := strings.Fields(line)
			switch {
			case strings.HasPrefix(line, "Fuzz"):
				names = append(names, fields[0])
			case strings.HasPrefix(line, "ok"):
				for _, name := range names {
					targets = append(targets, target{m.dir, fields[1], name})
				}
				names = nil
			}
		}
	}
	r.printf("To run, %s each:", each)
	for _, t := range targets {
		r.printf("  %s.%s", t.pkg, t.name)
	}
	for _, t := range targets {
		r.printf("\n== %s.%s", t.pkg, t.name)
		cmd := r.command(ctx, t.dir, "go", "test", "-run", "^$", "-fuzz", "^"+t.name+"$", "-fuzztime", each.String(), t.pkg)
		r.check(t.name, cmd.Run())
	}
	return ctx.Err()
}
