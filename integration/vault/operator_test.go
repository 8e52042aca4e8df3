package vault_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/token"
)

// What operators may do by hand, and what comes of what they must not. docs/vault.md says
// both.

// A scene is a store with the records of seed, an operator at it, and what runs there.
type scene struct {
	*testing.T
	hand
	core  *core
	ids   []string
	first string       // the secret of the first record
	store *token.Store // a process that has read and written all
}

func (c *core) scene(t *testing.T, versions int) *scene {
	t.Helper()
	h := c.hand(t, c.mount(t, versions), "app/oauth")
	store := c.open(t, h.mount, h.prefix)
	p := &scene{T: t, hand: h, core: c, ids: seed(t, store), store: store}
	p.first = codec.NameOf(p.ids[0])
	return p
}

// another is a process that starts now.
func (p *scene) another() *token.Store { return p.core.open(p.T, p.mount, p.prefix) }

// works makes sure that methods do, of the store that runs and of another.
func (p *scene) works(names ...string) {
	p.Helper()
	for what, store := range map[string]*token.Store{"the store": p.store, "another": p.another()} {
		for _, name := range names {
			if err := called(p.ids, name).do(p.Context(), store); err != nil {
				p.Errorf("%s, %s: %v", what, name, err)
			}
		}
	}
}

// corrupt makes sure that finds say that something is, and what.
func (p *scene) corrupt(part string) {
	p.Helper()
	for what, store := range map[string]*token.Store{"the store": p.store, "another": p.another()} {
		for _, name := range []string{"FindTokenByID", "FindToken by user"} {
			says(p, what+", "+name, called(p.ids, name).do(p.Context(), store), token.ErrCorrupt, part)
		}
	}
}

var finds = []string{"FindToken by user", "FindToken by refresh token", "FindTokenByID", "GetTokens"}

func TestWhatOperatorsMayDo(t *testing.T) {
	t.Parallel()
	c := startCore(t)
	for what, do := range map[string]func(*scene){
		"destroy versions below the newest": func(p *scene) {
			more := canaryToken(77) // so that the index has a version below the newest
			if err := p.store.SaveToken(p.Context(), more); err != nil {
				p.Fatal(err)
			}
			if err := p.store.DeleteToken(p.Context(), more.ID); err != nil {
				p.Fatal(err)
			}
			p.destroy(codec.RootName, 1)
		},
		"change custom metadata": func(p *scene) {
			own := map[string]any{"owner": "team-a"}
			p.write(p.path("metadata", p.first), map[string]any{"custom_metadata": own})
			p.works("UpdateToken")
			m, err := p.client.KVv2(p.mount).GetMetadata(p.Context(), p.prefix+"/"+p.first)
			if diff := cmp.Diff(own, m.CustomMetadata); err != nil || diff != "" {
				p.Errorf("the store changed it: %s, %v", diff, err)
			}
		},
		"undelete the newest version that somebody deleted": func(p *scene) {
			n := p.newest(p.first)
			if err := p.client.KVv2(p.mount).Delete(p.Context(), p.prefix+"/"+p.first); err != nil {
				p.Fatal(err)
			}
			p.corrupt("is deleted, by hand or by delete_version_after: undelete it")
			p.undelete(p.first, n)
		},
		"put back the value of a version that somebody destroyed": func(p *scene) {
			n, value := p.newest(p.first), p.value(p.first, 0)
			p.destroy(p.first, n)
			p.corrupt("is destroyed, and is the newest")
			p.hand.put(p.first, map[string]any{"value": value}, n)
		},
	} {
		for _, versions := range []int{1, 10} {
			t.Run(what, func(t *testing.T) {
				p := c.scene(t, versions)
				do(p)
				p.works(finds...)
				for _, m := range methods(p.ids) {
					if err := m.do(t.Context(), p.store); err != nil {
						t.Errorf("%s: %v", m.name, err)
					}
				}
				p.keepOne()
			})
		}
	}
}

// A process that starts then has the older value; one that runs has the newer one, or says
// that it waits for it.
func TestAnOlderValueThatIsPutBack(t *testing.T) {
	t.Parallel()
	p := startCore(t).scene(t, 10)
	older := p.value(p.first, 0)
	update := called(p.ids, "SaveToken, an update")
	if err := update.do(t.Context(), p.store); err != nil {
		t.Fatal(err)
	}
	p.hand.put(p.first, map[string]any{"value": older}, p.newest(p.first))
	got, err := p.another().FindTokenByID(t.Context(), p.ids[0])
	if err != nil || got.AccessToken.Reveal() != canaryToken(1).AccessToken.Reveal() {
		t.Errorf("the older value is not found: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	got, err = p.store.FindTokenByID(ctx, p.ids[0])
	if err == nil && got.AccessToken.Reveal() != canary+"later" || err != nil && !errors.Is(err, token.ErrUnavailable) {
		t.Errorf("a store that knows the newer value: %v", err)
	}
	if err := update.do(t.Context(), p.another()); err != nil {
		t.Error(err)
	}
	p.keepOne()
}

// It is corrupt for who has to read it. A process that remembers it writes it anew.
func TestARecordWhoseNewestVersionIsLost(t *testing.T) {
	t.Parallel()
	c := startCore(t)
	for what, do := range map[string]func(p *scene, n int){
		"deleted, by hand or by delete_version_after: undelete it": func(p *scene, n int) { p.remove(p.first, n) },
		"destroyed, and is the newest":                             func(p *scene, n int) { p.destroy(p.first, n) },
	} {
		t.Run(what, func(t *testing.T) {
			p := c.scene(t, 10)
			do(p, p.newest(p.first))
			before := p.all()
			for _, name := range []string{"FindTokenByID", "FindToken by user", "SaveToken, a rotation", "UpdateToken", "DeleteToken of it", "GetTokens"} {
				m := deletes(p.ids[0])
				if name != "DeleteToken of it" {
					m = called(p.ids, name)
				}
				says(t, name, m.do(t.Context(), p.another()), token.ErrCorrupt, p.first+": corrupt (version 1 is "+what+")")
			}
			if diff := cmp.Diff(before, p.all()); diff != "" {
				t.Errorf("something changed (-before +after):\n%s", diff)
			}
			// The others go on.
			found, err := p.another().FindToken(t.Context(), &token.OAuthToken{UserSignature: canaryToken(2).UserSignature})
			if err != nil || found.ID != p.ids[1] {
				t.Errorf("the other record: %v", err)
			}
			all, err := p.another().GetTokens(t.Context())
			if len(all) != 1 || !errors.Is(err, token.ErrCorrupt) {
				t.Errorf("%d records, %v", len(all), err)
			}
			if err := called(p.ids, "UpdateToken").do(t.Context(), p.store); err != nil {
				t.Errorf("a save of a process that remembers it: %v", err)
			}
			p.works(finds...)
			p.keepOne()
		})
	}
}

func TestTheIndexWhoseNewestVersionIsDeleted(t *testing.T) {
	t.Parallel()
	p := startCore(t).scene(t, 10)
	n := p.newest(codec.RootName)
	p.remove(codec.RootName, n)
	fresh := p.another()
	for _, name := range []string{"FindToken by user", "SaveToken, an insert", "GetTokens"} {
		says(t, name, called(p.ids, name).do(t.Context(), fresh), token.ErrCorrupt, "is deleted, by hand or by delete_version_after: undelete it")
	}
	p.works("FindTokenByID")
	p.undelete(codec.RootName, n)
	p.works(finds...)
}

// Without the index no key finds a record; it is not taken for an empty store.
func TestTheIndexThatIsRemovedWithItsMetadata(t *testing.T) {
	t.Parallel()
	p := startCore(t).scene(t, 10)
	p.purge(codec.RootName)
	for _, name := range []string{"FindToken by user", "SaveToken, an insert", "SaveToken, an update", "GetTokens"} {
		says(t, name, called(p.ids, name).do(t.Context(), p.another()), token.ErrCorrupt, "secret index is missing though records exist: restore it")
	}
	if names := p.names(); len(names) != 2 {
		t.Errorf("there are secrets %q", names)
	}
	p.works("FindTokenByID")
}

// A record that is removed with its metadata is one no more; its user may be saved anew.
func TestARecordThatIsRemovedWithItsMetadata(t *testing.T) {
	t.Parallel()
	p := startCore(t).scene(t, 10)
	p.purge(p.first)
	_, err := p.another().FindTokenByID(t.Context(), p.ids[0])
	wantErr(t, "by id", err, token.ErrNotFound)
	_, err = p.another().FindToken(t.Context(), &token.OAuthToken{UserSignature: canaryToken(1).UserSignature})
	wantErr(t, "by user", err, token.ErrNotFound)
	u := canaryToken(1)
	if err := p.another().SaveToken(t.Context(), u); err != nil {
		t.Error(err)
	}
	if n := p.newest(codec.NameOf(codec.RefOf(u.ID))); n != 1 {
		t.Errorf("the numbers begin at %d", n)
	}
}

// What stands beside the text is no part of the store, and goes with the next write.
func TestMembersThatAreAddedByHandAreLostWithTheNextWrite(t *testing.T) {
	t.Parallel()
	p := startCore(t).scene(t, 10)
	if _, err := p.client.KVv2(p.mount).Patch(t.Context(), p.prefix+"/"+p.first, map[string]any{"note": "by hand"}); err != nil {
		t.Fatal(err)
	}
	p.works("FindTokenByID", "UpdateToken")
	if err := called(p.ids, "SaveToken, an update").do(t.Context(), p.another()); err != nil {
		t.Error(err)
	}
	s, err := p.client.KVv2(p.mount).Get(t.Context(), p.prefix+"/"+p.first)
	if err != nil || len(s.Data) != 1 {
		t.Errorf("the secret has %d members, %v", len(s.Data), err)
	}
}

func TestAValueThatIsEditedByHandIsCorrupt(t *testing.T) {
	t.Parallel()
	p := startCore(t).scene(t, 10)
	value := p.value(p.first, 0)
	for _, data := range []map[string]any{{"value": ""}, {"value": canary}, {"value": map[string]any{"a": 1}}, {"other": canary}} {
		p.hand.put(p.first, data, p.newest(p.first))
		p.corrupt(p.first)
		says(t, "a save", called(p.ids, "SaveToken, an update").do(t.Context(), p.another()), token.ErrCorrupt, p.first)
	}
	p.hand.put(p.first, map[string]any{"value": value}, p.newest(p.first))
	p.works("FindTokenByID", "FindToken by user")
	if err := called(p.ids, "SaveToken, an update").do(t.Context(), p.another()); err != nil {
		t.Error(err)
	}
	p.keepOne()
}

// A secret with settings of its own: the store reads those of the mount.
func TestASecretThatKeepsMoreVersionsThanItsMountKeepsOldTokens(t *testing.T) {
	t.Parallel()
	p := startCore(t).scene(t, 1)
	p.write(p.path("metadata", p.first), map[string]any{"max_versions": 5})
	for _, name := range []string{"UpdateToken", "SaveToken, an update"} {
		if err := called(p.ids, name).do(t.Context(), p.another()); err != nil {
			t.Fatal(err)
		}
	}
	if p.value(p.first, p.newest(p.first)-1) == "" {
		t.Error("the old version is gone: docs/vault.md says that it stays")
	}
	// It is set back, and the next save drops them.
	p.write(p.path("metadata", p.first), map[string]any{"max_versions": 0})
	if err := called(p.ids, "SaveToken, a rotation").do(t.Context(), p.another()); err != nil {
		t.Fatal(err)
	}
	p.keepOne()
}

// What would vanish stays if that is mended: at once by hand, or with the next save.
func TestAVersionThatWouldVanishIsKept(t *testing.T) {
	t.Parallel()
	c := startCore(t)
	for what, mend := range map[string]func(*scene){
		"undeleted by hand": func(p *scene) { p.undelete(p.first, p.newest(p.first)) },
		"saved anew": func(p *scene) {
			if err := called(p.ids, "SaveToken, an update").do(p.Context(), p.store); err != nil {
				p.Error(err)
			}
		},
		"turned off for the whole mount, and saved anew": func(p *scene) {
			p.write(p.path("metadata", p.first), map[string]any{"delete_version_after": "1h"})
			p.configure(map[string]any{"delete_version_after": "-1s"})
			if err := called(p.ids, "SaveToken, an update").do(p.Context(), p.store); err != nil {
				p.Error(err)
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			p := c.scene(t, 10)
			settings := p.path("metadata", p.first)
			p.write(settings, map[string]any{"delete_version_after": "1h"})
			p.works("UpdateToken") // of two processes; the second one's changes nothing
			p.write(settings, map[string]any{"delete_version_after": "0s"})
			mend(p)
			versions := p.versions(p.first)
			if newest := versions[len(versions)-1]; newest.Deleted || newest.Value == "" {
				t.Errorf("version %d will be deleted", newest.Number)
			}
			p.works(finds...)
		})
	}
}

// A write by hand that a store does not know of: it finds out, and writes on top of it.
func TestAStoreWritesOnTopOfWhatAHandWrote(t *testing.T) {
	t.Parallel()
	p := startCore(t).scene(t, 10)
	value := p.edited(p.value(p.first, 0), func(r *codec.Record) { r.TokenType = "by hand" })
	p.hand.put(p.first, map[string]any{"value": value}, p.newest(p.first))
	if err := called(p.ids, "UpdateToken").do(t.Context(), p.store); err != nil {
		t.Fatal(err)
	}
	got, err := p.another().FindTokenByID(t.Context(), p.ids[0])
	if err != nil || got.TokenType != "by hand" || got.APIDomain != canary {
		t.Errorf("one of the two writes is lost: %v", err)
	}
	p.keepOne()
}
