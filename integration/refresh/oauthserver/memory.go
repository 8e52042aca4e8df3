package oauthserver

import (
	"context"
	"sync"

	"github.com/ory/fosite"
	"github.com/ory/fosite/storage"
)

// memory is fosite's own, and differs in one thing unless takesAccess: a refresh leaves
// the access tokens before it alone. They are still revoked, all of them, when their family is; fosite's memory
// knows but the newest.
type memory struct {
	*storage.MemoryStore
	takesAccess bool

	mu     sync.Mutex
	access map[string][]string // the signatures of access tokens, by family
}

func newMemory(takesAccess bool) *memory {
	return &memory{MemoryStore: storage.NewMemoryStore(), takesAccess: takesAccess, access: map[string][]string{}}
}

// CreateAccessTokenSession stores an access token.
func (m *memory) CreateAccessTokenSession(ctx context.Context, signature string, r fosite.Requester) error {
	m.mu.Lock()
	m.access[r.GetID()] = append(m.access[r.GetID()], signature)
	m.mu.Unlock()
	return m.MemoryStore.CreateAccessTokenSession(ctx, signature, r)
}

// RotateRefreshToken makes way for the next refresh token.
func (m *memory) RotateRefreshToken(ctx context.Context, family, signature string) error {
	if m.takesAccess {
		return m.MemoryStore.RotateRefreshToken(ctx, family, signature)
	}
	return m.RevokeRefreshToken(ctx, family)
}

// RevokeAccessToken revokes the access tokens of a family.
func (m *memory) RevokeAccessToken(ctx context.Context, family string) error {
	m.mu.Lock()
	all := m.access[family]
	delete(m.access, family)
	m.mu.Unlock()
	for _, signature := range all {
		if err := m.DeleteAccessTokenSession(ctx, signature); err != nil {
			return err
		}
	}
	return nil
}
