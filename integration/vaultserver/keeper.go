package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/vault/api"
)

// A State is a line of the output.
type State struct {
	// State is "active", "standby" or "sealed", or "unreachable" if it does not answer.
	State string `json:"state"`
	// Voters is how many nodes have a vote, as far as the active node knows.
	Voters int `json:"voters,omitempty"`
	// Token and Key are the root token and the unseal key, from the first node.
	Token string `json:"token,omitempty"`
	Key   string `json:"key,omitempty"`
}

// A keeper does for one node what an operator does: initialise, join, unseal.
type keeper struct {
	client    *api.Client
	dir, join string
	key       string
	token     string
	mounted   bool
	unsealed  time.Time // when it was tried
	said      State
}

// keys is what is kept beside the data.
type keys struct{ Key, Token string }

// look sees what the node is, and does what it needs. What fails is done the next time.
func (k *keeper) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	health, err := k.client.Sys().HealthWithContext(ctx)
	now := State{State: "unreachable"}
	switch {
	case err != nil:
	case !health.Initialized && k.join == "":
		k.note(k.initialize(ctx))
		return
	case !health.Initialized:
		_, err := k.client.Sys().RaftJoinWithContext(ctx, &api.RaftJoinRequest{LeaderAPIAddr: k.join})
		k.note(err)
		k.note(k.unseal(ctx))
		return
	case health.Sealed:
		now.State = "sealed"
		k.note(k.unseal(ctx))
	case health.Standby:
		now.State = "standby"
	default:
		if !k.mounted && k.join == "" {
			if k.note(k.mount(ctx)); !k.mounted {
				return
			}
		}
		now.State = "active"
		now.Voters = k.voters(ctx)
	}
	now.Token, now.Key = k.token, k.key
	if now != k.said {
		k.said = now
		say(now)
	}
}

// note writes down what did not go well.
func (k *keeper) note(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "vaultserver:", err)
	}
}

func (k *keeper) file() string { return filepath.Join(k.dir, "keys.json") }

func (k *keeper) initialize(ctx context.Context) error {
	out, err := k.client.Sys().InitWithContext(ctx, &api.InitRequest{SecretShares: 1, SecretThreshold: 1})
	if err != nil {
		return err
	}
	k.key, k.token = out.Keys[0], out.RootToken
	text, err := json.Marshal(keys{k.key, k.token})
	if err != nil {
		return err
	}
	return os.WriteFile(k.file(), text, 0o600)
}

// patience is how long a node may take to unseal itself once it has the key. To give it the key
// again meanwhile makes a node that joins a cluster run for office twice, and hear once that it has
// lost it.
const patience = 5 * time.Second

func (k *keeper) unseal(ctx context.Context) error {
	if time.Since(k.unsealed) < patience {
		return nil
	}
	k.unsealed = time.Now()
	if k.key == "" {
		text, err := os.ReadFile(k.file())
		if err != nil {
			return err
		}
		var kept keys
		if err := json.Unmarshal(text, &kept); err != nil {
			return err
		}
		k.key, k.token = kept.Key, kept.Token
	}
	_, err := k.client.Sys().UnsealWithContext(ctx, k.key)
	if err != nil && k.join == "" {
		k.unsealed = time.Time{} // it has not got it
	}
	return err
}

// mount makes the mount, if it is not there.
func (k *keeper) mount(ctx context.Context) error {
	k.client.SetToken(k.token)
	mounts, err := k.client.Sys().ListMountsWithContext(ctx)
	if err != nil {
		return err
	}
	if mounts["secret/"] == nil {
		if err := k.client.Sys().MountWithContext(ctx, "secret", &api.MountInput{Type: "kv", Options: map[string]string{"version": "2"}}); err != nil {
			return err
		}
	}
	// The mount is upgraded in the background, and refuses requests until then.
	if _, err := k.client.Logical().ReadWithContext(ctx, "secret/config"); err != nil {
		return err
	}
	k.mounted = true
	return nil
}

func (k *keeper) voters(ctx context.Context) int {
	if k.token == "" {
		return 0
	}
	k.client.SetToken(k.token)
	state, err := k.client.Sys().RaftAutopilotStateWithContext(ctx)
	if err != nil || state == nil {
		return 0
	}
	return len(state.Voters)
}
