package awssmtest

import "slices"

// tagResource adds tags and replaces the values of those that are there.
func (s *Server) tagResource(in *input) (any, *Error) {
	if in.Tags == nil {
		return nil, errRequired("tags")
	}
	if e := checkTags(in.Tags); e != nil {
		return nil, e
	}
	old, e := s.findLive("TagResource", in.SecretID)
	if e != nil {
		return nil, e
	}
	sec := old.clone(s.now())
	if e := sec.tag(in.Tags); e != nil {
		return nil, e
	}
	s.store(sec.name, sec)
	return struct{}{}, nil
}

// untagResource removes tags; it does not mind those that are not there.
func (s *Server) untagResource(in *input) (any, *Error) {
	if in.TagKeys == nil {
		return nil, errRequired("tagKeys")
	}
	old, e := s.findLive("UntagResource", in.SecretID)
	if e != nil {
		return nil, e
	}
	sec := old.clone(s.now())
	sec.tags = slices.DeleteFunc(slices.Clone(sec.tags), func(t tag) bool {
		return slices.Contains(in.TagKeys, *t.Key)
	})
	s.store(sec.name, sec)
	return struct{}{}, nil
}

// tag adds tags to a state that nobody has seen yet. Keys are case-sensitive.
func (s *secret) tag(tags []tag) *Error {
	if len(tags) == 0 {
		return nil
	}
	s.tags = slices.Clone(s.tags)
	for _, t := range tags {
		if t.Value == nil {
			t.Value = new(string)
		}
		if i := slices.IndexFunc(s.tags, func(o tag) bool { return *o.Key == *t.Key }); i >= 0 {
			s.tags[i] = t
		} else {
			s.tags = append(s.tags, t)
		}
	}
	if len(s.tags) > maxTags {
		return errTagQuota()
	}
	return nil
}
