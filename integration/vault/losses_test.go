package vault_test

import (
	"strings"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/vaultstore"
)

// What becomes of a program whose token has lost one of the rights of the least policy,
// and what it does when it has that again.

const refusedText = "HTTP 403: permission denied (docs/vault.md has the least policy)"

// tries runs all methods on one store while a right is gone: some are refused, for a
// request that request names, and the others work. When the right is back, the store makes
// up for them.
func (n *tenant) tries(lost right, request func(method) string) {
	n.Helper()
	n.gets(n.policy.without(lost))
	var refused []method
	for _, m := range methods(n.ids) {
		if text := request(m); text != "" {
			n.refuses(m, n.store, text, refusedText)
			refused = append(refused, m)
		} else {
			n.succeeds(m, n.store)
		}
	}
	n.gets(n.policy.text)
	for _, m := range refused {
		n.succeeds(m, n.store)
	}
}

func losesCreate(n *tenant, lost right) {
	n.tries(lost, func(m method) string {
		if m.inserts {
			return "PUT data token-"
		}
		return ""
	})
	// The first save of all creates the index.
	n.empty()
	n.gets(n.policy.without(lost))
	n.refuses(called(n.ids, "SaveToken, an insert"), n.open(), "PUT data index", refusedText)
}

func losesUpdate(n *tenant, lost right) {
	n.tries(lost, func(m method) string {
		switch {
		case m.inserts, strings.Contains(m.name, "rotation"):
			return "PUT data index" // the key is claimed there first
		case m.writes:
			return "PUT data token-"
		}
		return ""
	})
}

func losesRead(n *tenant, lost right) {
	n.tries(lost, func(method) string { return "GET data " })
}

// Nobody asks for it but who was told that a record will vanish. Then it tells whether that
// is the secret's own setting, and when it is mended.
func losesMetadata(n *tenant, lost right) {
	n.tries(lost, func(method) string { return "" })
	if refused := n.watch.refused(); len(refused) > 0 {
		n.Errorf("requests were refused: %q", refused)
	}
	for _, has := range []bool{true, false} {
		n := n.core.tenant(n.T, 10)
		if !has {
			n.gets(n.policy.without(lost))
		}
		settings := n.hand.path("metadata", codec.NameOf(n.ids[0]))
		update := called(n.ids, "SaveToken, an update")
		n.hand.write(settings, map[string]any{"delete_version_after": "1h"})
		n.succeeds(called(n.ids, "UpdateToken"), n.store) // the write that finds it out
		says(n, "the next write", update.do(n.Context(), n.store), token.ErrInvalid, "delete_version_after of the secret is set, and it would vanish")
		n.hand.write(settings, map[string]any{"delete_version_after": "0s"})
		if has {
			n.succeeds(update, n.store)
		} else {
			says(n, "a write when it is mended", update.do(n.Context(), n.store), token.ErrInvalid, "if that was done, a write will tell in a minute")
			n.succeeds(update, n.open())
		}
		n.hand.keepOne()
	}
}

func losesList(n *tenant, lost right) {
	n.tries(lost, func(method) string { return "" })
	if refused := n.watch.refused(); len(refused) > 0 {
		n.Errorf("requests were refused in a store that is not empty: %q", refused)
	}
	// In one that is empty it is not known whether there are tokens.
	n.empty()
	n.gets(n.policy.without(lost))
	store := n.open()
	firsts := []method{called(n.ids, "GetTokens"), called(n.ids, "SaveToken, an update"), called(n.ids, "FindToken by user")}
	for _, m := range firsts {
		n.refuses(m, store, "LIST metadata", refusedText)
	}
	n.gets(n.policy.text)
	for _, m := range firsts {
		n.succeeds(m, store)
	}
}

// Deletions go on, and a tombstone stays until one of a later day has the right.
func losesDelete(n *tenant, lost right) {
	dead := codec.NameOf(codec.RefOf(n.ids[0]))
	n.succeeds(deletes(n.ids[0]), n.store)
	n.hand.dayPasses()
	n.store = n.open() // one that knows of the day: the other remembers the index
	n.gets(n.policy.without(lost))
	n.succeeds(deletes(n.ids[1]), n.store)
	if diff := cmp.Diff([]string{"DELETE metadata"}, n.watch.refused()); diff != "" {
		n.Errorf("what is refused (-want +got):\n%s", diff)
	}
	record, err := codec.DecodeRecord([]byte(n.hand.value(dead, 0)))
	if err != nil || record.Live() || record.AccessToken != "" {
		n.Errorf("no tombstone is left, or one with a token: %v", err)
	}
	d, err := vaultstore.NewDriver(n.client(), n.hand.mount, n.hand.prefix, nil)
	if err != nil {
		n.Fatal(err)
	}
	if err := d.Delete(n.Context(), dead); err == nil || err.Error() != "DELETE metadata "+dead+": "+refusedText {
		n.Errorf("the driver's error: %v", err)
	}
	n.gets(n.policy.text)
	last := user(1)
	if err := n.store.SaveToken(n.Context(), last); err != nil {
		n.Fatal(err)
	}
	n.succeeds(deletes(last.ID), n.store)
	for _, name := range n.hand.names() {
		if name == dead {
			n.Error("the tombstone is still there")
		}
	}
}

// The write that leaves an old version stands; the next one asks for the right.
func losesDestroy(n *tenant, lost right) {
	update := called(n.ids, "SaveToken, an update")
	n.gets(n.policy.without(lost))
	n.succeeds(called(n.ids, "UpdateToken"), n.store)
	for range 2 {
		n.refuses(update, n.store, "PUT destroy token-", "old versions hold old tokens: the right to update MOUNT/destroy/PREFIX/* is needed, or max_versions=1 in the mount's config")
	}
	n.succeeds(called(n.ids, "FindToken by user"), n.store)
	n.gets(n.policy.text)
	n.succeeds(update, n.store)
	n.hand.keepOne()

	// Where the mount keeps one version, and the store may read that, nobody asks for it.
	one := n.core.tenant(n.T, 1)
	one.gets(one.policy.without(lost))
	for _, m := range methods(one.ids) {
		one.succeeds(m, one.store)
	}
	if refused := one.watch.refused(); len(refused) > 0 {
		n.Errorf("requests were refused on a mount that keeps one version: %q", refused)
	}
	// If it may not read that, it cannot know.
	blind := n.core.tenant(n.T, 1)
	blind.gets(blind.policy.only(func(r right) bool { return r != lost && r.endpoint != "config" }))
	blind.succeeds(called(blind.ids, "UpdateToken"), blind.store)
	blind.refuses(update, blind.store, "PUT destroy token-", "old versions hold old tokens")
}

// A write that replaces something takes one more request, and nothing fails.
func losesConfig(n *tenant, lost right) {
	for _, versions := range []int{1, 10} {
		n := n.core.tenant(n.T, versions)
		n.gets(n.policy.without(lost))
		for _, m := range methods(n.ids) {
			n.proxy.counted()
			before := n.hand.all()
			n.succeeds(m, n.store)
			replaced := 0
			for name := range before {
				replaced += n.hand.newest(name) - before[name][len(before[name])-1].Number
			}
			if got := n.proxy.counted()["PUT destroy"]; got != replaced {
				n.Errorf("%s replaced %d values and sent %d destructions", m.name, replaced, got)
			}
		}
		for _, name := range n.watch.refused() {
			if name != "GET config" {
				n.Errorf("%s was refused", name)
			}
		}
		n.hand.keepOne()
	}
}
