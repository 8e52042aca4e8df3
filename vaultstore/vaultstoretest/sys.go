package vaultstoretest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-secure-stdlib/parseutil"
)

// version is the Vault that the double does as.
const version = "1.21.4"

// system serves what is not below a mount of a KV engine.
func (c *core) system(r *request) (*response, error) {
	switch path := r.path; {
	case strings.HasPrefix(path, "auth/token/"):
		return c.tokenStore(r)
	case path == "sys/mounts" && r.op != opRead:
		return nil, errUnsupportedOperation
	case path == "sys/mounts":
		resp := &response{data: map[string]any{}, mountType: "system"}
		for name, m := range r.space.mounts {
			resp.data[name] = m.info(false)
		}
		_, ignored, _ := newFields(nil, r.data, nil)
		resp.warnUnknown(ignored, nil)
		return resp, nil
	case path == "sys/capabilities-self":
		return capabilitiesSelf(r)
	case path == "sys/step-down":
		c.stepDown()
		return nil, nil
	case strings.HasPrefix(path, "sys/"), strings.HasPrefix(path, "auth/approle/"), strings.HasPrefix(path, "auth/kubernetes/"):
		return nil, errUnsupportedPath
	}
	return errorResponse(fmt.Sprintf("no handler for route %q. route entry not found.", r.path)), errUnsupportedPath
}

// tokenPaths are the paths with which tokens manage themselves.
var tokenPaths = map[string]schema{
	"lookup-self": {"token": kindString},
	"renew-self":  {"token": kindString, "increment": kindSeconds},
	"revoke-self": {},
}

// tokenStore serves them.
//
// vault/token_store.go
func (c *core) tokenStore(r *request) (*response, error) {
	name := strings.TrimPrefix(r.path, "auth/token/")
	sc, known := tokenPaths[name]
	if !known {
		return nil, errUnsupportedPath
	}
	if r.op != opUpdate && (r.op != opRead || name != "lookup-self") {
		return nil, errUnsupportedOperation
	}
	f, ignored, replaced := newFields(sc, r.data, nil)
	if wrong := f.invalid(); wrong != nil {
		return wrong, nil
	}
	var resp *response
	var err error
	switch {
	case name == "lookup-self":
		resp = r.entry.lookupSelf(c.now())
	case name == "renew-self":
		resp, err = r.entry.renew(seconds(f.number("increment")), c.now())
	case r.entry.batch && r.entry.uses >= 0:
		return errorResponse("batch tokens cannot be revoked"), nil
	default:
		delete(c.tokens, r.entry.id)
		return nil, nil
	}
	if err == nil {
		resp.warnUnknown(ignored, replaced)
	}
	return resp, err
}

// capabilitiesSelf serves PUT sys/capabilities-self.
//
// vault/logical_system.go, handleCapabilities
func capabilitiesSelf(r *request) (*response, error) {
	if r.op != opUpdate {
		return nil, errUnsupportedOperation
	}
	f, ignored, replaced := newFields(schema{"token": kindString, "path": kindStrings, "paths": kindStrings}, r.data, nil)
	if wrong := f.invalid(); wrong != nil {
		return wrong, nil
	}
	paths := f.strs("paths")
	if len(paths) == 0 {
		paths = f.strs("path")
	}
	if len(paths) == 0 {
		return errorResponse("paths must be supplied"), nil
	}
	data := map[string]any{}
	for _, path := range paths {
		switch {
		case path == "":
			return nil, errMissingPath
		case r.entry.uses < 0:
			return nil, errUsedUp
		}
		data[path] = r.entry.acl().list(r.space.path + path)
	}
	if len(paths) == 1 {
		data["capabilities"] = data[paths[0]]
	}
	resp := &response{data: data, mountType: "system"}
	resp.warnUnknown(ignored, replaced)
	return resp, nil
}

func (a *acl) list(path string) []string {
	if a.root {
		return []string{"root"}
	}
	set := a.at(opList, path)
	if !useful(set) {
		return []string{"deny"}
	}
	var names []string
	for name := range set {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// mountOf serves GET sys/internal/ui/mounts/, which says what engine is at a path.
// Any token with a capability somewhere at the mount may ask.
//
// vault/logical_system.go, pathInternalUIMountRead
func (c *core) mountOf(r *request, path string) (*response, error) {
	switch {
	case path == "":
		return nil, errUnsupportedPath
	case r.op != opRead:
		return nil, errUnsupportedOperation
	case r.token == "":
		return nil, errPermissionDenied
	case r.entry == nil:
		return nil, listedErrors{errPermissionDenied, errInvalidToken}
	}
	_, ignored, replaced := newFields(schema{"path": kindString}, r.data, map[string]any{"path": path})
	path = strings.TrimLeft(strings.TrimSuffix(path, "/")+"/", "/")
	m, _ := r.space.find(path)
	if m == nil || !strings.HasPrefix(r.space.path, r.entry.space.path) || !r.entry.acl().reaches(r.space.path+m.path) {
		return errorResponse(fmt.Sprintf(
			"preflight capability check returned 403, please ensure client's policies grant access to path %q", path)), errPermissionDenied
	}
	resp := &response{data: m.info(true)}
	resp.data["path"] = m.path
	resp.warnUnknown(ignored, replaced)
	return resp, nil
}

// health serves sys/health, whose status says in what state a node is.
//
// http/sys_health.go
func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		respondError(w, http.StatusMethodNotAllowed, nil)
		return
	}
	c := s.core
	c.mu.Lock()
	defer c.mu.Unlock()
	code, ok := s.healthCode(r)
	switch {
	case !ok && r.Method == http.MethodHead:
		w.WriteHeader(http.StatusBadRequest)
		return
	case !ok:
		respondError(w, http.StatusBadRequest, nil)
		return
	}
	sealed := s.state == Sealed || s.state == Uninitialized
	mode := "disabled"
	if c.enterprise {
		mode = "primary"
	}
	dr := "disabled"
	if s.state == RecoverySecondary {
		dr = "secondary"
	}
	if sealed {
		mode, dr = "unknown", "unknown"
	}
	body := map[string]any{
		"initialized":                       s.state != Uninitialized,
		"sealed":                            sealed,
		"standby":                           sealed || s.state == Standby || s.state == PerformanceStandby,
		"performance_standby":               s.state == PerformanceStandby,
		"replication_performance_mode":      mode,
		"replication_dr_mode":               dr,
		"server_time_utc":                   c.now().Unix(),
		"version":                           version,
		"enterprise":                        c.enterprise,
		"echo_duration_ms":                  0,
		"clock_skew_ms":                     0,
		"replication_primary_canary_age_ms": 0,
	}
	if !sealed {
		body["cluster_name"], body["cluster_id"] = c.name, c.id
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	if r.Method == http.MethodGet {
		_, _ = w.Write(encode(body))
	}
}

// healthCode is the status of sys/health. The query may ask for others.
func (s *Server) healthCode(r *http.Request) (int, bool) {
	query := r.URL.Query()
	allowed := func(name string) (bool, bool) {
		if !query.Has(name) {
			return false, true
		}
		yes, err := parseutil.ParseBool(query.Get(name))
		return yes, err == nil
	}
	standbyOK, ok1 := allowed("standbyok")
	perfOK, ok2 := allowed("perfstandbyok")
	codes := map[string]int{
		"activecode": http.StatusOK, "standbycode": http.StatusTooManyRequests, "sealedcode": http.StatusServiceUnavailable,
		"uninitcode": http.StatusNotImplemented, "drsecondarycode": 472, "performancestandbycode": 473,
	}
	for name := range codes {
		if query.Has(name) {
			code, err := strconv.Atoi(query.Get(name))
			if err != nil {
				return 0, false
			}
			codes[name] = code
		}
	}
	name := "activecode"
	switch {
	case s.state == Uninitialized:
		name = "uninitcode"
	case s.state == Sealed:
		name = "sealedcode"
	case s.state == RecoverySecondary:
		name = "drsecondarycode"
	case s.state == PerformanceStandby && !perfOK:
		name = "performancestandbycode"
	case s.state == Standby && !standbyOK:
		name = "standbycode"
	}
	return codes[name], ok1 && ok2
}

// leader serves sys/leader.
//
// http/sys_leader.go
func (s *Server) leader(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		respondError(w, http.StatusMethodNotAllowed, nil)
		return
	}
	c := s.core
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.clustered() && (s.state == Sealed || s.state == Uninitialized) {
		respondError(w, http.StatusInternalServerError, errSealed)
		return
	}
	body := map[string]any{
		"ha_enabled": s.clustered(), "is_self": false, "active_time": time.Time{}, "leader_address": "",
		"leader_cluster_address": "", "performance_standby": s.state == PerformanceStandby, "performance_standby_last_remote_wal": 0,
	}
	if s.clustered() {
		body["leader_address"] = s.leaderURL()
		body["is_self"] = c.active == s
		if c.active == s {
			body["active_time"] = c.activeAt
		}
		if s.state == PerformanceStandby {
			body["performance_standby_last_remote_wal"] = s.seen()
		}
	}
	respondOK(w, body)
}

// sealStatus serves sys/seal-status, and sys/init in short.
func (s *Server) sealStatus(w http.ResponseWriter, r *http.Request) {
	s.core.mu.Lock()
	defer s.core.mu.Unlock()
	if r.Method != http.MethodGet {
		respondError(w, http.StatusMethodNotAllowed, nil)
		return
	}
	body := map[string]any{"initialized": s.state != Uninitialized}
	if strings.HasSuffix(r.URL.Path, "/seal-status") {
		sealed := s.state == Sealed || s.state == Uninitialized
		body["sealed"] = sealed
		body["type"], body["version"] = "shamir", version
		body["t"], body["n"], body["progress"], body["nonce"] = 3, 5, 0, ""
		body["migration"], body["recovery_seal"] = false, false
		body["build_date"] = "2026-01-01T00:00:00Z"
		if !sealed {
			body["cluster_name"], body["cluster_id"] = s.core.name, s.core.id
		}
	}
	respondOK(w, body)
}
