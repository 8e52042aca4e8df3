package vaultstoretest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/tokenkeep/tokenkeep/vaultstore/vaultstoretest"
)

func TestStates(t *testing.T) {
	for _, test := range []struct {
		state        vaultstoretest.State
		health, read int
		text         string
	}{
		{vaultstoretest.Active, 200, 404, ""},
		{vaultstoretest.Standby, 429, 404, ""},
		{vaultstoretest.PerformanceStandby, 473, 404, ""},
		{vaultstoretest.RecoverySecondary, 472, 400, "path disabled in replication DR secondary mode"},
		{vaultstoretest.Sealed, 503, 503, "Vault is sealed"},
		{vaultstoretest.Uninitialized, 501, 503, "Vault is sealed"},
		{vaultstoretest.Overloaded, 200, 503, "overloaded, try again later"},
	} {
		srv, _ := start(t)
		srv.SetState(test.state)
		send(t, srv, "GET", "/v1/sys/health", "", as("")).is(t, test.health)
		got := send(t, srv, "GET", "/v1/secret/data/k", "")
		if test.text == "" {
			got.is(t, test.read)
		} else {
			got.says(t, test.read, test.text)
		}
		if srv.State() != test.state {
			t.Error(srv.State())
		}
	}
	srv, _ := start(t)
	srv.SetState(vaultstoretest.Standby)
	send(t, srv, "GET", "/v1/sys/health?standbyok=true", "").is(t, 200)
	send(t, srv, "HEAD", "/v1/sys/health?standbycode=204", "").is(t, 204)
	send(t, srv, "GET", "/v1/sys/health?standbycode=x", "").is(t, 400)
	if got := send(t, srv, "HEAD", "/v1/sys/health?standbycode=x", ""); got.Status != 400 || got.Header.Get("Content-Type") != "" {
		t.Errorf("%d %v", got.Status, got.Header)
	}
	health, err := connect(t, srv).Sys().HealthWithContext(t.Context())
	if err != nil || !health.Standby || health.Version != "1.21.4" {
		t.Errorf("%+v %v", health, err)
	}
	if s, err := connect(t, srv).Sys().SealStatusWithContext(t.Context()); err != nil || s.Sealed || !s.Initialized {
		t.Errorf("%+v %v", s, err)
	}
}

func TestCluster(t *testing.T) {
	cluster := vaultstoretest.NewCluster(3)
	t.Cleanup(cluster.Close)
	one, two := cluster.Nodes[0], cluster.Nodes[1]
	put := `{"data":{},"options":{"cas":0}}`
	send(t, two, "PUT", "/v1/secret/data/a", put).is(t, 200)
	if _, n, ok := one.Value("secret/a"); !ok || n != 1 {
		t.Error("a standby did not forward")
	}
	if len(one.Calls()) != 0 || len(two.Calls()) != 1 {
		t.Error("calls are of the node that was called")
	}
	got := send(t, two, "GET", "/v1/secret/data/a?version=1", "", "X-Vault-No-Request-Forwarding: true")
	if got.Status != 307 || got.Header.Get("Location") != one.URL+"/v1/secret/data/a?version=1" {
		t.Errorf("%d %v", got.Status, got.Header)
	}
	two.SetRedirect("active")
	kv := connect(t, two).KVv2("secret")
	if _, err := kv.Put(t.Context(), "b", map[string]any{"x": 1}, api.WithCheckAndSet(0)); err != nil {
		t.Error("the client follows a redirect:", err)
	}
	two.SetRedirect("")

	cluster.StepDown()
	const leaderless = "local node not active but active cluster node not found"
	send(t, one, "PUT", "/v1/secret/data/c", put).says(t, 500, leaderless)
	send(t, two, "GET", "/v1/secret/data/a", "").says(t, 500, leaderless)
	if cluster.Active() != nil {
		t.Error("somebody is active")
	}
	cluster.Elect(1)
	send(t, one, "GET", "/v1/secret/data/b", "").is(t, 200)
	leader, err := connect(t, one).Sys().LeaderWithContext(t.Context())
	if err != nil || leader.IsSelf || leader.LeaderAddress != two.URL || !leader.HAEnabled {
		t.Errorf("%+v %v", leader, err)
	}
	two.SetPolicy("update", vaultstoretest.Policy{{Path: "sys/step-down", Capabilities: []string{"update"}}})
	two.SetPolicy("sudo", vaultstoretest.Policy{{Path: "sys/step-down", Capabilities: []string{"update", "sudo"}}})
	for _, policy := range []string{"none", "update"} {
		token := two.NewToken(vaultstoretest.Token{Policies: []string{policy}})
		send(t, two, "PUT", "/v1/sys/step-down", "", as(token)).says(t, 403, denied)
	}
	send(t, two, "GET", "/v1/sys/step-down", "").is(t, 405)
	send(t, two, "PUT", "/v1/sys/step-down", "", as(two.NewToken(vaultstoretest.Token{Policies: []string{"sudo"}}))).is(t, 204)
	if two.State() != vaultstoretest.Standby {
		t.Error(two.State())
	}
	cluster.Elect(2)
	two.SetLeaderless(true)
	send(t, two, "GET", "/v1/secret/data/b", "").says(t, 500, leaderless)
}

func TestAServerAloneStepsDownForNobody(t *testing.T) {
	srv, _ := start(t)
	send(t, srv, "PUT", "/v1/sys/step-down", "", as("")).is(t, 204)
	send(t, srv, "GET", "/v1/sys/step-down", "").is(t, 405)
	send(t, srv, "GET", "/v1/sys/health", "").is(t, 200)
}

func TestPerformanceStandby(t *testing.T) {
	cluster := vaultstoretest.NewCluster(2, vaultstoretest.WithEnterprise(), vaultstoretest.WithHeaderForwarding())
	t.Cleanup(cluster.Close)
	active, late := cluster.Nodes[0], cluster.Nodes[1]
	late.SetState(vaultstoretest.PerformanceStandby)
	late.SetLag(1)
	put := func(srv *vaultstoretest.Server, cas string) reply {
		return send(t, srv, "PUT", "/v1/secret/data/k", `{"data":{},"options":{"cas":`+cas+`}}`)
	}
	index := "X-Vault-Index: " + put(active, "0").Header.Get("X-Vault-Index")
	if len(index) < 20 {
		t.Fatal(index)
	}
	get := func(headers ...string) reply { return send(t, late, "GET", "/v1/secret/data/k", "", headers...) }
	get().is(t, 404)
	get(index).says(t, 412, "required index state not present")
	get(index, "X-Vault-Inconsistent: forward-active-node").is(t, 200)
	get("X-Vault-Forward: active-node").is(t, 200)
	t.Run("a write is decided on the newest state, if the old one does not refuse it", func(t *testing.T) {
		put(late, "1").says(t, 400, casMismatch)
		put(late, "0").says(t, 400, casMismatch)
	})
	late.Settle()
	get().is(t, 200)
	put(late, "1").is(t, 200)
	if data := get().Data["metadata"].(map[string]any); data["version"] != 1.0 {
		t.Error("it has not seen its own write:", data)
	}
	late.SetLag(0)
	get(index).is(t, 200)
	t.Run("a client that reads its writes is forwarded", func(t *testing.T) {
		late.SetLag(1)
		client := connect(t, late)
		client.SetReadYourWrites(true)
		if _, err := client.KVv2("secret").Put(t.Context(), "own", map[string]any{"a": 1}); err != nil {
			t.Fatal(err)
		}
		if _, err := client.WithRequestCallbacks(api.ForwardInconsistent()).KVv2("secret").Get(t.Context(), "own"); err != nil {
			t.Error(err)
		}
	})
}

func TestTimeLag(t *testing.T) {
	srv, clock := start(t)
	srv.SetState(vaultstoretest.PerformanceStandby)
	srv.SetTimeLag(time.Minute)
	send(t, srv, "PUT", "/v1/secret/data/k", `{"data":{}}`).is(t, 200)
	send(t, srv, "LIST", "/v1/secret/metadata", "").is(t, 404)
	clock.Advance(59 * time.Second)
	send(t, srv, "GET", "/v1/secret/data/k", "").is(t, 404)
	send(t, srv, "PUT", "/v1/secret/data/k", `{"data":{}}`).is(t, 200)
	clock.Advance(time.Second)
	if got := send(t, srv, "GET", "/v1/secret/metadata/k", ""); got.Data["current_version"] != 1.0 {
		t.Error(got.Text)
	}
}

func TestHeadersThatForwardAreOff(t *testing.T) {
	srv, _ := start(t)
	send(t, srv, "GET", "/v1/secret/data/k", "", "X-Vault-Forward: active-node").says(t, 400,
		"forwarding via header X-Vault-Forward disabled in configuration")
	send(t, srv, "GET", "/v1/secret/data/k", "", "X-Vault-Inconsistent: forward-active-node").says(t, 400,
		"forwarding via header X-Vault-Inconsistent=forward-active-node disabled in configuration")
	if got := send(t, srv, "PUT", "/v1/secret/data/k", `{"data":{}}`); got.Header.Get("X-Vault-Index") != "" {
		t.Error("the community edition has no index")
	}
}

func TestStaleness(t *testing.T) {
	read := func(seed uint64) string {
		srv, _ := start(t, vaultstoretest.WithStaleness(seed, 3))
		seen := ""
		for range 30 {
			if _, err := srv.SetValue("secret/k", map[string]any{}); err != nil {
				t.Fatal(err)
			}
			got := send(t, srv, "GET", "/v1/secret/metadata/k", "")
			_, behind, _ := srv.Value("secret/k")
			if got.Status == http.StatusOK {
				behind -= int(got.Data["current_version"].(float64))
			}
			if behind > 3 {
				t.Fatalf("%d behind", behind)
			}
			seen += string(rune('0' + behind))
		}
		srv.Settle()
		send(t, srv, "GET", "/v1/secret/data/k?version=30", "").is(t, 200)
		return seen
	}
	first := read(1)
	if first != read(1) || first == read(2) || !strings.Contains(first, "0") || !strings.Contains(first, "3") {
		t.Error(first)
	}
}

func TestRateLimit(t *testing.T) {
	srv, clock := start(t, vaultstoretest.WithRateLimit(2))
	for range 2 {
		send(t, srv, "GET", "/v1/secret/data/k", "").is(t, 404)
	}
	send(t, srv, "GET", "/v1/secret/data/k", "").says(t, 429, `request path "secret/data/k": rate limit quota exceeded`)
	send(t, srv, "GET", "/v1/sys/health", "").is(t, 200)
	clock.Advance(time.Second)
	send(t, srv, "GET", "/v1/secret/data/k", "").is(t, 404)
}
