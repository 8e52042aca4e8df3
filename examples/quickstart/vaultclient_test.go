package main

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/vault/api"

	"github.com/tokenkeep/tokenkeep/vaultstore/vaultstoretest"
)

// canary is what the environment has that nobody but its Vault may see.
const canary = "hvs.canary"

// inVault runs the program on Vault, with an environment.
func inVault(t *testing.T, env []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := program(t, append([]string{"-store", "vaultstore"}, args...)...)
	cmd.Env = append(cmd.Env, env...)
	stdout, stderr, code = runProgram(t, cmd)
	if strings.Contains(stdout+stderr, canary) {
		t.Errorf("the canary is in the output:\n%s%s", stdout, stderr)
	}
	return stdout, stderr, code
}

// leastPolicy is that of docs/vault.md.
func leastPolicy(mount, prefix string) vaultstoretest.Policy {
	return vaultstoretest.MustPolicy(fmt.Sprintf(`
		path "%[1]s/data/%[2]s/*" { capabilities = ["create", "update", "read"] }
		path "%[1]s/metadata/%[2]s/*" { capabilities = ["list", "delete"] }
		path "%[1]s/destroy/%[2]s/*" { capabilities = ["update"] }
		path "%[1]s/config" { capabilities = ["read"] }`, mount, prefix))
}

func TestTheVaultOfTheEnvironmentIsUsed(t *testing.T) {
	t.Parallel()
	srv := vaultstoretest.NewServer(vaultstoretest.WithNamespaces("teams"), vaultstoretest.WithMount("teams/kv", 2))
	t.Cleanup(srv.Close)
	srv.SetPolicy("quickstart", leastPolicy("secret", "tokenkeep-quickstart"))
	srv.SetNamespacePolicy("teams", "quickstart", leastPolicy("kv", "tokenkeep-quickstart"))
	secure := httptest.NewTLSServer(srv)
	t.Cleanup(secure.Close)
	roots := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	socket := socketOf(t, srv)

	token := srv.NewToken(vaultstoretest.Token{Policies: []string{"quickstart"}})
	ofTeam := srv.NewToken(vaultstoretest.Token{Policies: []string{"quickstart"}, Namespace: "teams"})
	for name, c := range map[string]struct {
		env, args []string
		says      string // where it writes
	}{
		"by its address and a token": {[]string{"VAULT_ADDR=" + srv.URL, "VAULT_TOKEN=" + token}, nil, srv.URL + ", mount secret\n"},
		"in a namespace, at another mount": {
			[]string{"VAULT_ADDR=" + srv.URL, "VAULT_TOKEN=" + ofTeam, "VAULT_NAMESPACE=teams"}, []string{"-mount", "kv"},
			srv.URL + ", mount kv, namespace teams\n",
		},
		"with a certificate of its own": {
			[]string{"VAULT_ADDR=" + secure.URL, "VAULT_TOKEN=" + token, "VAULT_CACERT=" + roots}, nil, secure.URL + ", mount secret\n",
		},
		"by a socket": {[]string{"VAULT_ADDR=unix://" + socket, "VAULT_TOKEN=" + token}, nil, "unix://" + socket + ", mount secret\n"},
		"through an agent": {
			[]string{"VAULT_ADDR=http://127.0.0.1:1", "VAULT_AGENT_ADDR=" + srv.URL, "VAULT_TOKEN=" + token}, nil, srv.URL + ", mount secret\n",
		},
		"whatever the command line wraps": {
			[]string{"VAULT_ADDR=" + unwrapped(t, srv), "VAULT_TOKEN=" + token, "VAULT_WRAP_TTL=60"}, nil, ", mount secret\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, code := inVault(t, c.env, c.args...)
			wantAllWell(t, stdout, stderr, code)
			if !strings.Contains(stdout, "HashiCorp Vault at ") || !strings.Contains(stdout, c.says) {
				t.Errorf("it does not say %q:\n%s", c.says, stdout)
			}
			if left := append(srv.Names("secret"), srv.Names("teams/kv")...); len(left) > 0 {
				t.Errorf("%q are left", left)
			}
		})
	}
	if n := len(srv.Calls()); n == 0 {
		t.Error("the double was not called")
	}
}

// socketOf serves a double at a Unix socket.
func socketOf(t *testing.T, h http.Handler) (path string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "quickstart") //nolint:usetesting // a socket's path has to be short
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, "vault.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := &httptest.Server{Listener: listener, Config: &http.Server{Handler: h}}
	srv.Start()
	t.Cleanup(func() {
		srv.Close()
		_ = os.RemoveAll(dir)
	})
	return path
}

// unwrapped is the address of a double that is never asked to wrap an answer.
func unwrapped(t *testing.T, h http.Handler) string {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ttl := r.Header.Get("X-Vault-Wrap-Ttl"); ttl != "" {
			t.Errorf("an answer is to be wrapped for %s", ttl)
		}
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

// A witness is a double that reads along.
type witness struct {
	*httptest.Server
	double *vaultstoretest.Server
	mu     sync.Mutex
	heard  []string // all headers of all requests
}

func startWitness(t *testing.T) *witness {
	w := &witness{double: vaultstoretest.NewHandler()}
	w.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		headers, _ := json.Marshal(r.Header)
		w.mu.Lock()
		w.heard = append(w.heard, string(headers))
		w.mu.Unlock()
		w.double.ServeHTTP(rw, r)
	}))
	t.Cleanup(func() {
		w.Close()
		w.double.Close()
	})
	return w
}

func (w *witness) all() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.heard, "\n")
}

// ofAnother is an environment for another Vault, with all that says who one is.
func ofAnother(w *witness) []string {
	proxy := strings.Replace(w.URL, "http://", "http://user:"+canary+"@", 1)
	return []string{
		"VAULT_ADDR=" + w.URL, "VAULT_AGENT_ADDR=" + w.URL, "VAULT_PROXY_ADDR=" + proxy,
		"VAULT_TOKEN=" + canary, "VAULT_NAMESPACE=" + canary, `VAULT_HEADERS={"X-Canary":"` + canary + `"}`,
	}
}

func TestAnEndpointGetsNothingOfTheEnvironment(t *testing.T) {
	t.Parallel()
	another, endpoint := startWitness(t), startWitness(t)
	stdout, stderr, code := inVault(t, ofAnother(another), "-endpoint", endpoint.URL)
	wantAllWell(t, stdout, stderr, code)
	heard := endpoint.all()
	if strings.Contains(heard, canary) || !strings.Contains(heard, vaultstoretest.RootToken) || !strings.Contains(heard, api.RequestHeaderName) {
		t.Errorf("the endpoint got\n%.1000s", heard)
	}
	if heard := another.all(); heard != "" {
		t.Errorf("the Vault of the environment got\n%.1000s", heard)
	}
}

func TestTheEnvironmentsVaultIsNotUsedUnlessAskedFor(t *testing.T) {
	t.Parallel()
	another := startWitness(t)
	for _, args := range []string{"", "-store awssm", "-store gcpsm", "-store memory"} {
		cmd := program(t, strings.Fields(args)...)
		cmd.Env = append(cmd.Env, ofAnother(another)...)
		stdout, stderr, code := runProgram(t, cmd)
		wantAllWell(t, stdout, stderr, code)
	}
	// Nor is anything of it without an address.
	stdout, stderr, code := inVault(t, append(ofAnother(another), "VAULT_ADDR="))
	wantAllWell(t, stdout, stderr, code)
	if !strings.Contains(stdout, "a double of HashiCorp Vault in this process") {
		t.Errorf("it does not run on the double:\n%s", stdout)
	}
	if heard := another.all(); heard != "" {
		t.Errorf("the Vault of the environment got\n%.1000s", heard)
	}
}

func TestWhatIsWrongWithTheEnvironmentIsSaid(t *testing.T) {
	t.Parallel()
	srv := vaultstoretest.NewServer(vaultstoretest.WithMount("old", 1))
	t.Cleanup(srv.Close)
	sealed := vaultstoretest.NewServer()
	t.Cleanup(sealed.Close)
	sealed.SetState(vaultstoretest.Sealed)
	addr, root := "VAULT_ADDR="+srv.URL, "VAULT_TOKEN="+vaultstoretest.RootToken
	for name, c := range map[string]struct {
		env, args []string
		want      string
	}{
		"no scheme":                   {env: []string{"VAULT_ADDR=127.0.0.1:8200", root}, want: "VAULT_ADDR is not a URL"},
		"no host":                     {env: []string{"VAULT_ADDR=https://", root}, want: "VAULT_ADDR is not a URL"},
		"a blank":                     {env: []string{"VAULT_ADDR= ", root}, want: "VAULT_ADDR is not a URL"},
		"a password in the address":   {env: []string{"VAULT_ADDR=http://user:" + canary + "@127.0.0.1:8200", root}, want: "VAULT_ADDR is not a URL"},
		"an address that is none":     {env: []string{"VAULT_ADDR=http://" + canary + "%zz", root}, want: "VAULT_ADDR is not a URL"},
		"a query in the address":      {env: []string{addr + "/?token=" + canary, root}, want: "VAULT_ADDR is not a URL"},
		"an agent's password":         {env: []string{addr, root, "VAULT_AGENT_ADDR=http://user:" + canary + "@127.0.0.1"}, want: "VAULT_AGENT_ADDR is not a URL"},
		"a proxy that is none":        {env: []string{addr, root, "VAULT_PROXY_ADDR=http://user:" + canary + "@[proxy"}, want: "VAULT_PROXY_ADDR or"},
		"no file of certificates":     {env: []string{addr, root, "VAULT_CACERT=/none"}, want: "the environment of Vault's client: "},
		"headers that are none":       {env: []string{addr, root, "VAULT_HEADERS=" + canary}, want: "headers"},
		"no token":                    {env: []string{addr}, want: "VAULT_TOKEN is not: "},
		"a token with a line's end":   {env: []string{addr, "VAULT_TOKEN=" + canary + "\n"}, want: "VAULT_TOKEN has a character"},
		"a token that is none":        {env: []string{addr, "VAULT_TOKEN=" + canary}, want: "permission denied"},
		"KV version 1":                {env: []string{addr, root}, args: []string{"-mount", "old"}, want: "none of the KV secrets engine, version 2"},
		"no such mount":               {env: []string{addr, root}, args: []string{"-mount", "none"}, want: "there is no such mount"},
		"a mount with a slash":        {env: []string{addr, root}, args: []string{"-mount", "/secret"}, want: "the mount begins with a slash"},
		"a mount with odd characters": {env: []string{addr, root}, args: []string{"-mount", canary + "?"}, want: "the mount has a character at byte 10"},
		"a sealed Vault":              {env: []string{"VAULT_ADDR=" + sealed.URL, root}, want: "Vault is sealed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stdout, stderr, code := inVault(t, c.env, c.args...)
			wantFailure(t, stdout, stderr, code, c.want)
			if strings.Contains(stdout, "Clean up") {
				t.Errorf("something was written:\n%s", stdout)
			}
		})
	}
	t.Cleanup(func() {
		if left := append(srv.Names("secret"), srv.Names("old")...); len(left) > 0 {
			t.Errorf("%q are left", left)
		}
	})
}
