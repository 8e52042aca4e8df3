package main

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/tokenkeep/tokenkeep/integration/containers/oplog"
)

// confined looks at what this process may do. Whether it may write is tried: that is what
// counts, whatever the mode of a directory or the flags of a mount say.
func confined() oplog.Confined {
	status, _ := os.ReadFile("/proc/self/status") // without it all of it is unknown
	return oplog.Confined{
		UID: os.Getuid(), GID: os.Getgid(),
		RootWritable: writable("/"), DirWritable: writable("."),
		Capabilities: orUnknown(statusField(string(status), "CapEff")),
		NoNewPrivs:   orUnknown(statusField(string(status), "NoNewPrivs")),
		Memory:       memoryLimit("/sys/fs/cgroup", "/proc/self/cgroup"),
	}
}

// writable reports whether a file can be created in a directory.
func writable(dir string) bool {
	f, err := os.CreateTemp(dir, ".worker-*")
	if err != nil {
		return false
	}
	_, _ = f.Close(), os.Remove(f.Name()) // it was created
	return true
}

// memoryLimit returns the limit of the control group of this process. In a container its
// own group is as a rule all that is mounted; elsewhere /proc/self/cgroup says where it is.
func memoryLimit(mounted, own string) string {
	groups := []string{""}
	if text, err := os.ReadFile(own); err == nil {
		for line := range strings.Lines(string(text)) { // number:controllers:path
			if parts := strings.SplitN(strings.TrimSpace(line), ":", 3); len(parts) == 3 && (parts[1] == "" || parts[1] == "memory") {
				groups = append([]string{parts[2]}, groups...)
			}
		}
	}
	for _, group := range groups {
		for _, file := range []string{
			filepath.Join(mounted, group, "memory.max"),                      // version 2
			filepath.Join(mounted, "memory", group, "memory.limit_in_bytes"), // version 1
		} {
			if limit, err := os.ReadFile(file); err == nil {
				return strings.TrimSpace(string(limit))
			}
		}
	}
	return oplog.Unknown
}

// statusField returns a field of /proc/self/status, empty if it is not there.
func statusField(status, name string) string {
	for line := range strings.Lines(status) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func orUnknown(text string) string {
	if text == "" {
		return oplog.Unknown
	}
	return text
}
