package vaultstoretest

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// A core is what the nodes of a cluster share: the storage, the mounts, the tokens.
// A server of its own has one of its own.
type core struct {
	id, name string
	now      func() time.Time

	mu         sync.Mutex // guards all that follows, and the state of the nodes
	store      *store
	spaces     map[string]*space // by path; the root's is empty
	enterprise bool              // there are namespaces and index headers
	tokens     map[string]*token
	roles      map[string]Role    // by namespace, method and name
	lockouts   map[string]lockout // by namespace and role id
	active     *Server            // nil: no node is
	nodes      []*Server
	activeAt   time.Time
}

func newCore() *core {
	root := newSpace("")
	id := randomUUID()
	c := &core{
		id:       id,
		name:     "vault-cluster-" + id[:8],
		now:      time.Now,
		store:    newStore(),
		spaces:   map[string]*space{"": root},
		tokens:   map[string]*token{},
		roles:    map[string]Role{},
		lockouts: map[string]lockout{},
	}
	c.tokens[RootToken] = &token{
		id: RootToken, accessor: randomUUID()[:24], displayName: "root", path: "auth/token/root", policies: []string{"root"}, space: root,
	}
	return c
}

// namespace returns a namespace by its name, and panics if there is none: that is a
// mistake in the test.
func (c *core) namespace(name string) *space {
	path := strings.Trim(name, "/")
	if path != "" {
		path += "/"
	}
	sp := c.spaces[path]
	if sp == nil {
		panic(fmt.Sprintf("vaultstoretest: no namespace %q", name))
	}
	return sp
}

// split finds the namespace of a path that begins with it.
func (c *core) split(path string) (*space, string) {
	best := c.spaces[""]
	for prefix, sp := range c.spaces {
		if strings.HasPrefix(path, prefix) && len(prefix) > len(best.path) {
			best = sp
		}
	}
	return best, strings.TrimPrefix(path, best.path)
}

// locate puts the namespace of the header before the path and finds where that is.
// Without namespaces the header means nothing, as in Vault's community edition.
func (c *core) locate(h http.Header, path string) (sp *space, rest string, known bool) {
	if !c.enterprise {
		return c.spaces[""], path, true
	}
	name := strings.Trim(h.Get("X-Vault-Namespace"), "/")
	if name == "" || name == "root" {
		sp, rest = c.split(path)
		return sp, rest, true
	}
	if c.spaces[name+"/"] == nil {
		return c.spaces[""], name + "/" + path, false
	}
	sp, rest = c.split(name + "/" + path)
	return sp, rest, true
}

// handle is what Vault's core does with a request. The caller holds mu.
//
// vault/request_handling.go
func (c *core) handle(r *request) (*response, error) {
	if strings.HasSuffix(r.path, "/") && r.op.writes() {
		return errorResponse("cannot write to a path ending in '/'"), nil
	}
	r.entry = c.lookup(r.token)
	if loginSchemas[r.path] != nil {
		return c.login(r)
	}
	if path, ok := strings.CutPrefix(r.path, "sys/internal/ui/mounts/"); ok {
		return c.mountOf(r, path)
	}
	if r.path == "sys/step-down" && len(c.nodes) == 1 {
		return nil, nil // nobody is asked for a token: vault/ha.go, StepDown
	}
	resp, err := c.authorized(r)
	if err != nil && !errors.Is(err, errReadOnly) {
		err = listed(err)
	}
	return resp, err
}

// authorized serves requests that need a token.
func (c *core) authorized(r *request) (*response, error) {
	denied := func(err error) (*response, error) {
		return errorResponse(err.Error()), err
	}
	if r.token == "" {
		return denied(errPermissionDenied)
	}
	if r.entry == nil {
		return denied(listedErrors{errPermissionDenied, errInvalidToken})
	}
	c.use(r.entry) // also if it is refused
	m, rest := r.space.find(r.path)
	if m != nil && r.op == opUpdate {
		// Policies see the path as the existence check leaves it: vault/router.go,
		// routeCommon, has then made "secret" of a mount "secret/".
		if r.path+"/" == m.path {
			r.path = m.path
		}
		checked, exists, err := m.backend().exists(r, rest)
		if _, wrong := errors.AsType[userError](err); wrong {
			return errorResponse(err.Error()), errInvalidRequest
		}
		if err != nil {
			return nil, errInternal
		}
		if checked && !exists {
			r.op = opCreate
		}
	}
	acl := r.entry.acl()
	allowed := acl.allows(r.op, r.space.path+r.path) && strings.HasPrefix(r.space.path, r.entry.space.path)
	if !allowed || r.path == "sys/step-down" && !acl.sudo(r.op, r.path) {
		return denied(listedErrors{errPermissionDenied})
	}
	if m == nil {
		return c.system(r)
	}
	resp, err := m.backend().handle(r, rest)
	if resp != nil {
		resp.mountType = "kv"
	}
	return resp, err
}

// use counts a request of a token that is good for a number of them.
func (c *core) use(t *token) {
	if t.uses > 0 {
		if t.uses--; t.uses == 0 {
			t.uses = -1
		}
	}
}
