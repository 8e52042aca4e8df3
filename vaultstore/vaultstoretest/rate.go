package vaultstoretest

import "slices"

// A rateLimit is a rate limit quota for everything. It counts the requests of the
// second at hand.
type rateLimit struct {
	most   int
	second int64
	count  int
}

// rateExempt are the paths that Vault does not limit.
//
// vault/quotas/quotas.go, defaultExemptPaths
var rateExempt = []string{"sys/health", "sys/seal-status", "sys/unseal"}

// overRate counts a request and tells whether it is one too many.
func (s *Server) overRate(in *inbound) bool {
	s.core.mu.Lock()
	defer s.core.mu.Unlock()
	if s.rate == nil || slices.Contains(rateExempt, in.path()) {
		return false
	}
	if second := s.core.now().Unix(); second != s.rate.second {
		s.rate.second, s.rate.count = second, 0
	}
	s.rate.count++
	return s.rate.count > s.rate.most
}
