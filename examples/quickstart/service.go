package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tokenkeep/tokenkeep/token"
)

// A kind is a kind of store that the program runs on. Each has a file of its own, and its
// place in kinds.
type kind struct {
	name  string   // of its package: what -store takes
	title string   // of the service
	flags []string // that are about this service
	calls string   // what is counted
	list  string   // what a list takes
	finds string   // what else to know of what finds take: more lines
	quota string   // what to know when a quota is used up
	open  func(context.Context, options, *service) error
}

// kinds are the values of -store. The first is the default.
var kinds = []kind{onAWS, onGoogle, onVault, inMemory}

func names() string {
	var list []string
	for _, k := range kinds {
		list = append(list, k.name)
	}
	return strings.Join(list, ", ")
}

// pick returns the kind of a name. Without a name, it is the first one that all the given
// flags are about.
func pick(name string) (kind, error) {
	var given []string
	flag.Visit(func(f *flag.Flag) {
		if f.Name != "store" && f.Name != "file" {
			given = append(given, f.Name)
		}
	})
	for _, k := range kinds {
		if name != "" && name != k.name {
			continue
		}
		strange := slices.IndexFunc(given, func(flag string) bool { return !slices.Contains(k.flags, flag) })
		switch {
		case strange < 0:
			return k, nil
		case name != "":
			return kind{}, fmt.Errorf("-%s is not for -store %s", given[strange], name)
		}
	}
	if name != "" {
		return kind{}, fmt.Errorf("-store %s: it is none of %s", name, names())
	}
	return kind{}, fmt.Errorf("no store takes all of -%s", strings.Join(given, " -"))
}

// A service is where the tokens go. It counts the requests and notes what is created.
type service struct {
	kind   kind
	what   string // for the reader
	prefix string
	under  string // what all names of secrets under the prefix begin with

	store  func() (*token.Store, error) // a new one, which knows nothing of the others
	remove func(ctx context.Context, name string) error
	close  func()

	calls   atomic.Int64
	mu      sync.Mutex
	created []string // names of secrets
}

// connect makes a service: a double unless the options name another one.
func connect(ctx context.Context, k kind, o options) (*service, error) {
	s := &service{kind: k, prefix: "tokenkeep-quickstart/" + strings.ToLower(rand.Text()[:12]), close: func() {}}
	return s, k.open(ctx, o, s)
}

// inProcess says that the service is a double, which nobody else uses.
func (s *service) inProcess() {
	s.what, s.prefix = "a double of "+s.kind.title+" in this process: no network, no account", "quickstart"
}

// note notes the name of a secret before it is created.
func (s *service) note(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.created, name) {
		s.created = append(s.created, name)
	}
}

// uncut is the context of a creation. An interrupt does not cut it short: what may come to
// be after its removal would stay.
func uncut(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
}

// recordSecrets is how many secrets of records this run created: docs/format.md has the names.
func (s *service) recordSecrets() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range s.created {
		if strings.HasPrefix(name, s.under+"token-") {
			n++
		}
	}
	return n
}

// cleanUp removes every secret that this run created, for good. A program has no need of
// this: it calls DeleteToken.
func (s *service) cleanUp(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, name := range s.created {
		if !strings.HasPrefix(name, s.under) {
			return "", errors.New("a secret was created outside the prefix: not removed")
		}
		if err := s.remove(ctx, name); err != nil {
			return "", fmt.Errorf("secrets are left, %d or fewer: remove by hand what begins with %s", len(s.created)-i, s.under)
		}
	}
	return fmt.Sprintf("The %s that this run created are removed, with all that was in them.", plural(len(s.created), "secret")), nil
}
