package vaultstoretest

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// After so many logins of a role with a wrong secret id, none of them within that time
// of the one before, all its logins are refused for that time.
//
// vault/request_handling.go, isUserLocked; internalshared/configutil/userlockout.go
const (
	lockoutThreshold = 5
	lockoutTime      = 15 * time.Minute
)

// A lockout counts the failed logins of a role.
type lockout struct {
	count int
	last  time.Time
}

func (l lockout) locked(now time.Time) bool {
	return l.count >= lockoutThreshold && now.Unix()-l.last.Unix() < int64(lockoutTime.Seconds())
}

func (l lockout) failed(now time.Time) lockout {
	if now.After(l.last.Truncate(time.Second).Add(lockoutTime)) {
		l.count = 0
	}
	return lockout{l.count + 1, now}
}

// A Role is what a login makes tokens for.
type Role struct {
	// Name appears in the token's metadata.
	Name string
	// RoleID and SecretID are the credentials of AppRole, any texts.
	RoleID, SecretID string
	// JWT is the service account token that Kubernetes logins must bring.
	JWT string
	// Policies, TTL and MaxTTL are those of the tokens; see [Token].
	Policies    []string
	TTL, MaxTTL time.Duration
	// Fixed tokens cannot be renewed.
	Fixed bool
	// Namespace is where the role lives.
	Namespace string
}

// SetAppRole makes or replaces a role of auth/approle.
func (s *Server) SetAppRole(r Role) { s.setRole("approle", r) }

// SetKubernetesRole makes or replaces a role of auth/kubernetes.
func (s *Server) SetKubernetesRole(r Role) { s.setRole("kubernetes", r) }

func (s *Server) setRole(method string, r Role) {
	s.core.mu.Lock()
	defer s.core.mu.Unlock()
	sp := s.core.namespace(r.Namespace)
	s.core.roles[sp.path+method+"/"+r.Name] = r
}

var loginSchemas = map[string]schema{
	"auth/approle/login":    {"role_id": kindString, "secret_id": kindString},
	"auth/kubernetes/login": {"role": kindString, "jwt": kindString},
}

// login serves the login paths. They need no token.
func (c *core) login(r *request) (*response, error) {
	sc := loginSchemas[r.path]
	user := roleOf(r)
	if r.path == "auth/approle/login" {
		// vault/request_handling.go, isUserLocked, which comes before all else
		if user == "" {
			return nil, errors.New("failed to determine alias name from login request")
		}
		if c.lockouts[r.space.path+user].locked(c.now()) {
			return nil, errPermissionDenied
		}
	}
	if r.op != opUpdate {
		return nil, errUnsupportedOperation
	}
	f, ignored, replaced := newFields(sc, r.data, nil)
	if wrong := f.invalid(); wrong != nil {
		return wrong, nil
	}
	var resp *response
	var err error
	if r.path == "auth/approle/login" {
		resp, err = c.appRoleLogin(r, f)
		if errors.Is(err, errInvalidCredentials) {
			c.lockouts[r.space.path+user] = c.lockouts[r.space.path+user].failed(c.now())
		} else if resp.auth != nil {
			delete(c.lockouts, r.space.path+user)
		}
	} else {
		resp, err = c.kubernetesLogin(r, f)
	}
	if err == nil && resp != nil {
		resp.warnUnknown(ignored, replaced)
	}
	return resp, err
}

// roleOf is what Vault takes for the name of who logs in with AppRole.
func roleOf(r *request) string {
	f, _, _ := newFields(loginSchemas[r.path], r.data, nil)
	value, _, _ := f.convert("role_id")
	text, _ := value.(string)
	return strings.TrimSpace(text)
}

// appRoleLogin answers as vault/builtin/credential/approle/path_login.go does.
func (c *core) appRoleLogin(r *request, f *fields) (*response, error) {
	const invalid = "invalid role or secret ID"
	roleID, secretID := strings.TrimSpace(f.str("role_id")), strings.TrimSpace(f.str("secret_id"))
	for name, role := range c.roles {
		if !strings.HasPrefix(name, r.space.path+"approle/") || role.RoleID != roleID {
			continue
		}
		switch {
		case secretID == "":
			return errorResponse("missing secret_id"), nil
		case secretID != role.SecretID:
			return errorResponse(invalid), errInvalidCredentials
		}
		return c.enter(r, role, "approle", map[string]string{"role_name": role.Name}), nil
	}
	return errorResponse(invalid), nil
}

// kubernetesLogin answers as vault-plugin-auth-kubernetes, path_login.go does, for a
// service account whose token is the role's.
func (c *core) kubernetesLogin(r *request, f *fields) (*response, error) {
	name, jwt := f.str("role"), f.str("jwt")
	switch {
	case name == "":
		return errorResponse("missing role"), nil
	case jwt == "":
		return errorResponse("missing jwt"), nil
	}
	role, ok := c.roles[r.space.path+"kubernetes/"+name]
	switch {
	case !ok:
		return errorResponse(fmt.Sprintf("invalid role name %q", name)), nil
	case jwt != role.JWT:
		return nil, errPermissionDenied
	}
	return c.enter(r, role, "kubernetes-default-"+name, map[string]string{
		"role": name, "service_account_name": name, "service_account_namespace": "default",
		"service_account_secret_name": "", "service_account_uid": "uid-" + name,
	}), nil
}

// enter makes the token of a login.
func (c *core) enter(r *request, role Role, displayName string, meta map[string]string) *response {
	t := &token{
		displayName: displayName,
		path:        r.path,
		policies:    withDefault(role.Policies),
		meta:        meta,
		entityID:    entityOf(r.path, role.Name),
		ttl:         role.TTL,
		limit:       role.MaxTTL,
		renewable:   !role.Fixed,
		space:       r.space,
	}
	c.issue(t)
	return &response{auth: t.auth(t.ttl)}
}

// entityOf gives all logins of a role one entity, as Vault does.
func entityOf(path, role string) string {
	sum := fmt.Sprintf("%x", []byte(path+role+"................"))
	return sum[:8] + "-" + sum[8:12] + "-" + sum[12:16] + "-" + sum[16:20] + "-" + sum[20:32]
}
