package stage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/moby/moby/client"
)

// The labels of all that is made: which run made it, the process that is to remove it, and
// when that should have happened at the latest.
const (
	sessionLabel   = "tokenkeep.session"
	bootLabel      = "tokenkeep.boot"      // the kernel's id of this boot
	namespaceLabel = "tokenkeep.namespace" // of process ids
	processLabel   = "tokenkeep.process"   // its id there
	startLabel     = "tokenkeep.start"     // when it started, in ticks since the boot
	untilLabel     = "tokenkeep.until"
)

// An owner is the process of a run. What is not known of it is empty.
type owner struct {
	boot, namespace string
	process         int
	start           string
	until           time.Time
}

// self is this process.
func self(until time.Time) owner {
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // without it nobody takes our things before their time
	namespace, _ := os.Readlink("/proc/self/ns/pid")
	return owner{string(bytes.TrimSpace(boot)), namespace, os.Getpid(), started(os.Getpid()), until}
}

func (o owner) labels(session string) map[string]string {
	return map[string]string{
		sessionLabel: session, bootLabel: o.boot, namespaceLabel: o.namespace,
		processLabel: strconv.Itoa(o.process), startLabel: o.start, untilLabel: o.until.UTC().Format(time.RFC3339),
	}
}

// ownerOf reads labels. A time that cannot be read has passed.
func ownerOf(labels map[string]string) owner {
	process, _ := strconv.Atoi(labels[processLabel])
	until, _ := time.Parse(time.RFC3339, labels[untilLabel])
	return owner{labels[bootLabel], labels[namespaceLabel], process, labels[startLabel], until}
}

// gone reports whether a run has ended and removes nothing any more, as far as can be told.
//
// Of a process of the same boot and the same namespace of process ids it is known: it is gone
// if its id has no process, or one that started at another time. Docker may also serve processes
// that cannot be seen from here: those in other containers, on other machines, and before a reboot, which
// cannot be told from another machine. Those have until the time that they named, by clocks that
// may differ a little; so what they leave stays for as long, and a run that takes longer
// than it said may lose what it has to one in another namespace.
func (o owner) gone(me owner, now time.Time) bool {
	if o.boot == "" || o.namespace == "" || o.process <= 0 || o.boot != me.boot || o.namespace != me.namespace {
		return now.After(o.until)
	}
	if errors.Is(syscall.Kill(o.process, 0), syscall.ESRCH) {
		return true
	}
	start := started(o.process)
	return start != "" && o.start != "" && start != o.start
}

// started is when a process started, in ticks since the boot; empty: it is not told.
func started(process int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", process))
	if err != nil {
		return ""
	}
	// The second field is the program's name in brackets, which may hold anything.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 20 {
		return ""
	}
	return fields[19]
}

// sweep removes what runs left that are gone.
func sweep(ctx context.Context, docker client.APIClient, me owner) error {
	sessions := map[string]bool{}
	_, err := each(ctx, docker, sessionLabel, func(_ func() error, labels map[string]string) error {
		if ownerOf(labels).gone(me, time.Now()) {
			sessions[labels[sessionLabel]] = true
		}
		return nil
	})
	errs := []error{err}
	for session := range sessions {
		errs = append(errs, removeSession(ctx, docker, session))
	}
	return errors.Join(errs...)
}

// removeSession removes all that a run made. Another one may be at it too, so that it does not
// matter whether a removal went well, but that nothing is left.
func removeSession(ctx context.Context, docker client.APIClient, session string) error {
	const tries = 50
	for try := 1; ; try++ {
		n, err := each(ctx, docker, sessionLabel+"="+session, func(remove func() error, _ map[string]string) error { return remove() })
		if n == 0 || try == tries {
			return err
		}
		if !rest(ctx) {
			return errors.Join(err, ctx.Err())
		}
	}
}

// rest waits for a moment, and reports whether there is time left.
func rest(ctx context.Context) bool {
	timer := time.NewTimer(100 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// each calls do for all that has a label, in the order in which it can be removed, and
// returns how much there is.
func each(ctx context.Context, docker client.APIClient, label string, do func(remove func() error, labels map[string]string) error) (n int, err error) {
	its := client.Filters{}.Add("label", label)
	var errs []error
	one := func(labels map[string]string, remove func() error) {
		n++
		errs = append(errs, do(remove, labels))
	}
	containers, err := docker.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: its})
	errs = append(errs, err)
	for _, c := range containers.Items {
		one(c.Labels, func() error {
			_, _ = docker.ContainerUnpause(ctx, c.ID, client.ContainerUnpauseOptions{}) // one that is paused cannot be killed
			_, err := docker.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
			return err
		})
	}
	networks, err := docker.NetworkList(ctx, client.NetworkListOptions{Filters: its})
	errs = append(errs, err)
	for _, c := range networks.Items {
		one(c.Labels, func() error {
			_, err := docker.NetworkRemove(ctx, c.ID, client.NetworkRemoveOptions{})
			return err
		})
	}
	images, err := docker.ImageList(ctx, client.ImageListOptions{Filters: its})
	errs = append(errs, err)
	for _, c := range images.Items {
		one(c.Labels, func() error {
			_, err := docker.ImageRemove(ctx, c.ID, client.ImageRemoveOptions{Force: true, PruneChildren: true})
			return err
		})
	}
	return n, errors.Join(errs...)
}
