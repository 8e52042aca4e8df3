package gcpsmtest

import (
	"time"

	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
)

// enableSecretVersion also takes back a scheduled destruction: one can "restore the
// secret version by either enabling or disabling" it.
func (s *Server) enableSecretVersion(in *pb.EnableSecretVersionRequest) (*pb.SecretVersion, error) {
	return s.change(enablingVersion, in.GetName(), in.GetEtag(), func(_ *secret, v *version) *version {
		return s.turned(v, pb.SecretVersion_ENABLED)
	})
}

// disableSecretVersion also takes back a scheduled destruction, as enabling does.
func (s *Server) disableSecretVersion(in *pb.DisableSecretVersionRequest) (*pb.SecretVersion, error) {
	return s.change(disablingVersion, in.GetName(), in.GetEtag(), func(_ *secret, v *version) *version {
		return s.turned(v, pb.SecretVersion_DISABLED)
	})
}

// destroySecretVersion destroys the payload for ever. "For secret with TTL>0,
// version destruction doesn't happen immediately on calling destroy instead the
// version goes to a disabled state and destruction happens after the TTL expires."
//
// https://cloud.google.com/secret-manager/docs/delay-destruction-of-secret-versions
func (s *Server) destroySecretVersion(in *pb.DestroySecretVersionRequest) (*pb.SecretVersion, error) {
	return s.change(destroying, in.GetName(), in.GetEtag(), func(sec *secret, v *version) *version {
		now := s.now()
		ttl := sec.meta.GetVersionDestroyTtl()
		if ttl == nil {
			return s.destroyed(v, now)
		}
		d := *v
		d.state, d.scheduled, d.etag = pb.SecretVersion_DISABLED, now.Add(ttl.AsDuration()), s.etag()
		return &d
	})
}

// change replaces a version by what to makes of it; the secret's etag stays. A
// destroyed version stays as it is for ever. Only numbers are taken: "Access by
// alias is only be supported on GetSecretVersion and AccessSecretVersion."
func (s *Server) change(op operation, name, etag string, to func(*secret, *version) *version) (*pb.SecretVersion, error) {
	r, err := s.parse(name, versionName)
	if err != nil {
		return nil, err
	}
	n, ok := number(r.version)
	if !ok {
		return nil, errNoNumber(r)
	}
	if err := s.admit(op, r); err != nil {
		return nil, err
	}
	old := s.newest(r)
	if old == nil {
		return nil, errNoVersion(r)
	}
	v := old.find(n)
	switch {
	case v == nil:
		return nil, errNoVersion(r)
	case etag != "" && etag != v.etag:
		return nil, errEtag(r.at(v.number), etag, v.etag)
	case !v.active():
		return nil, errState(r.at(v.number), v.state.String())
	}
	changed := to(old, v)
	sec := old.clone()
	sec.put(changed)
	s.store(r, sec)
	return changed.message(r), nil
}

// turned is the version in the state, not to be destroyed. The etag is new even if
// the state is not: "A no-operation resource update also updates the resource ETag."
//
// https://cloud.google.com/secret-manager/docs/etags
func (s *Server) turned(v *version, state pb.SecretVersion_State) *version {
	t := *v
	t.state, t.scheduled, t.etag = state, time.Time{}, s.etag()
	return &t
}
