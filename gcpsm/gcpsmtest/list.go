package gcpsmtest

import (
	"slices"

	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
)

// listSecrets lists the secrets of a project, "sorted in reverse by create_time
// (newest first)", as late as [WithLag] says.
func (s *Server) listSecrets(in *pb.ListSecretsRequest) (*pb.ListSecretsResponse, error) {
	r, err := s.parse(in.GetParent(), scopeName)
	if err != nil {
		return nil, err
	}
	if err := s.admit(listingSecrets, r); err != nil {
		return nil, err
	}
	list := listID("ListSecrets", r.scope, in.GetFilter())
	q, err := s.query(in, list)
	if err != nil {
		return nil, err
	}
	matches, err := secretFilter(in.GetFilter())
	if err != nil {
		return nil, err
	}
	var all []*secret
	for _, c := range s.cells {
		if sec := s.late(c); sec != nil && sec.scope == r.scope {
			all = append(all, sec)
		}
	}
	seq := func(sec *secret) int64 { return int64(sec.seq) }
	slices.SortFunc(all, func(a, b *secret) int { return b.seq - a.seq })
	found, next := page(all, seq, q.after, q.size, list, matches)

	out := &pb.ListSecretsResponse{NextPageToken: next}
	for _, sec := range found {
		out.Secrets = append(out.Secrets, sec.meta)
	}
	if in.GetFilter() == "" {
		out.TotalSize = int32(len(all))
	}
	return out, nil
}

// listSecretVersions lists the versions of a secret, the newest first, destroyed
// ones too, as late as [WithLag] says.
func (s *Server) listSecretVersions(in *pb.ListSecretVersionsRequest) (*pb.ListSecretVersionsResponse, error) {
	r, err := s.parse(in.GetParent(), secretName)
	if err != nil {
		return nil, err
	}
	if err := s.admit(listingVersions, r); err != nil {
		return nil, err
	}
	list := listID("ListSecretVersions", r.name(), in.GetFilter())
	q, err := s.query(in, list)
	if err != nil {
		return nil, err
	}
	matches, err := versionFilter(in.GetFilter(), r)
	if err != nil {
		return nil, err
	}
	sec := s.seen(r)
	if sec == nil {
		return nil, errNoSecret(r)
	}
	all := slices.Clone(sec.versions)
	slices.Reverse(all)
	found, next := page(all, func(v *version) int64 { return v.number }, q.after, q.size, list, matches)

	out := &pb.ListSecretVersionsResponse{NextPageToken: next}
	for _, v := range found {
		out.Versions = append(out.Versions, v.message(r))
	}
	if in.GetFilter() == "" {
		out.TotalSize = int32(len(all))
	}
	return out, nil
}

// A query is what all lists can be asked.
type query struct {
	size  int
	after *cursor
}

// query reads the size of the page and where it begins. "If set to 0, the server
// decides the number of results to return. If the number is greater than 25000,
// it is capped at 25000."
func (s *Server) query(in interface {
	GetPageSize() int32
	GetPageToken() string
}, list string) (query, error) {
	size := int(in.GetPageSize())
	if size < 0 {
		return query{}, errPageSize(in.GetPageSize())
	}
	if size == 0 {
		size = maxPage
	}
	after, err := readCursor(in.GetPageToken(), list)
	return query{min(size, maxPage, s.maxPage), after}, err
}
