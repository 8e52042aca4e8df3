package containers_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/tokenkeep/tokenkeep/integration/containers/stage"
)

// The public images. LocalStack's is of the last versions that need no account.
const (
	vaultImage      = "hashicorp/vault:1.21.4"
	localstackImage = "localstack/localstack:3.8.1"
)

// The same workers, on the images that users have, with -images public and where a registry
// answers.
func TestWorkersKeepTheirPromisesOnPublicImages(t *testing.T) {
	t.Parallel()
	t.Run("Vault", func(t *testing.T) {
		t.Parallel()
		on := newPublicStage(t, vaultImage, stage.Worker, stage.VaultServer)
		workWhileAllFails(t, "Vault, "+vaultImage, on, startPublicVault(t, on))
	})
	t.Run("LocalStack", func(t *testing.T) {
		t.Parallel()
		on := newPublicStage(t, localstackImage, stage.Worker)
		workWhileAllFails(t, "AWS, "+localstackImage, on, startLocalStack(t, on))
	})
}

// newPublicStage opens a stage with containers, or skips the test and says why.
func newPublicStage(t *testing.T, image string, binaries ...string) stage.Stage {
	t.Helper()
	if *flagImage != "public" {
		t.Skip(image + " is a public image, and those are run with -images public")
	}
	engine, why := docker()
	if why != nil {
		t.Skip(why)
	}
	if why := engine.Fetchable(t.Context(), image); why != nil {
		t.Skip(image+" cannot be fetched: ", why)
	}
	return newStage(t, binaries...)
}

// startPublicVault starts HashiCorp's image, and a program of ours that keeps it unsealed and
// says what it is.
func startPublicVault(t *testing.T, on stage.Stage) *service {
	t.Helper()
	const name = "vault"
	config, err := json.Marshal(map[string]any{
		"storage":      map[string]any{"raft": map[string]any{"path": "/vault/file", "node_id": name}},
		"listener":     map[string]any{"tcp": map[string]any{"address": on.Listen(name, apiPort), "tls_disable": true}},
		"api_addr":     "http://" + on.Known(name, apiPort),
		"cluster_addr": "http://" + on.Known(name, clusterPort), "disable_mlock": true,
	})
	if err != nil {
		t.Fatal(err)
	}
	unit, err := on.Start(t.Context(), stage.Program{
		Name: name, Image: vaultImage, Args: []string{"server"},
		Env: map[string]string{"VAULT_LOCAL_CONFIG": string(config), "SKIP_SETCAP": "true"},
	})
	if err != nil {
		t.Fatal(err)
	}
	keeper := startServer(t, on, "keeper", stage.VaultServer, map[string]string{
		"VAULT_KEEP": "http://" + on.Known(name, apiPort), "VAULT_DIR": on.Dir("keeper"),
	})
	said, err := keeper.is(t.Context(), "active", active)
	if err != nil {
		t.Fatal(err)
	}
	// What the keeper says is what the server is.
	keeper.Unit, keeper.name = unit, name
	return &service{name: "vault", port: apiPort, servers: []*server{keeper}, token: said.Token, restart: byKill}
}

// startLocalStack starts LocalStack's image. It forgets all when it is restarted, so that it
// is paused only.
func startLocalStack(t *testing.T, on stage.Stage) *service {
	t.Helper()
	const name = "localstack"
	s := &server{name: name, changed: make(chan struct{})}
	unit, err := on.Start(t.Context(), stage.Program{
		Name: name, Image: localstackImage, Env: map[string]string{"SERVICES": "secretsmanager", "EAGER_SERVICE_LOADING": "1"},
		Says: func(line []byte) {
			if bytes.HasPrefix(bytes.TrimSpace(line), []byte("Ready.")) {
				s.says([]byte(`{"state":"active"}`))
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Unit = unit
	if _, err := s.is(t.Context(), "active", active); err != nil {
		t.Fatal(err)
	}
	return &service{name: "aws", port: 4566, servers: []*server{s}}
}
