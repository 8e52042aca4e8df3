package gcpsmtest

import (
	"slices"
	"strings"
	"time"

	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
)

// A field is what a filter can ask of an entry: texts, of which there may be
// none or several, or a time, which may be zero.
type field[T any] struct {
	texts   func(T) []string
	allowed []string // if the texts are of an enumeration
	time    func(T) time.Time
}

// condition compares. The reason why it does not is empty if it does.
func (f *field[T]) condition(operator, value string, present bool) (c condition[T], why string) {
	switch {
	case present && f.time != nil:
		return func(e T) bool { return !f.time(e).IsZero() }, ""
	case present:
		return func(e T) bool { return len(f.texts(e)) > 0 }, ""
	case f.time != nil:
		return f.whenever(operator, value)
	case f.allowed != nil && !slices.Contains(f.allowed, value):
		return nil, "there is no " + value
	}
	equal := func(e T) bool { return slices.Contains(f.texts(e), value) }
	switch operator {
	case "=":
		return equal, ""
	case "!=":
		return func(e T) bool { return !equal(e) }, ""
	case ":":
		if f.allowed != nil {
			return equal, ""
		}
		return func(e T) bool {
			return slices.ContainsFunc(f.texts(e), func(text string) bool { return strings.Contains(text, value) })
		}, ""
	}
	return nil, "texts are not ordered"
}

// whenever compares times. One that is not set is neither before nor after.
func (f *field[T]) whenever(operator, value string) (condition[T], string) {
	t, err := time.Parse(time.RFC3339Nano, value)
	if err != nil {
		return nil, "a time has to look like 2021-01-01T06:00:00Z"
	}
	holds := map[string]func(int) bool{
		"<":  func(n int) bool { return n < 0 },
		"<=": func(n int) bool { return n <= 0 },
		">":  func(n int) bool { return n > 0 },
		">=": func(n int) bool { return n >= 0 },
		"=":  func(n int) bool { return n == 0 },
		"!=": func(n int) bool { return n != 0 },
	}[operator]
	if holds == nil {
		return nil, "a colon does not compare times"
	}
	return func(e T) bool {
		at := f.time(e)
		return !at.IsZero() && holds(at.Compare(t))
	}, ""
}

// secretFilter reads a filter of ListSecrets. Names are whole, as the service
// answers them.
func secretFilter(text string) (condition[*secret], error) {
	return parseFilter(text, secretField)
}

func secretField(path string) *field[*secret] {
	texts := func(get func(*pb.Secret) []string) *field[*secret] {
		return &field[*secret]{texts: func(s *secret) []string { return get(s.meta) }}
	}
	if key, found := strings.CutPrefix(path, "labels."); found {
		return texts(func(s *pb.Secret) []string { return entry(s.GetLabels(), key) })
	}
	if key, found := strings.CutPrefix(path, "annotations."); found {
		return texts(func(s *pb.Secret) []string { return entry(s.GetAnnotations(), key) })
	}
	switch path {
	case "name":
		return texts(func(s *pb.Secret) []string { return []string{s.GetName()} })
	case "create_time":
		return &field[*secret]{time: func(s *secret) time.Time { return s.meta.GetCreateTime().AsTime() }}
	case "expire_time":
		return &field[*secret]{time: func(s *secret) time.Time {
			if s.meta.GetExpireTime() == nil {
				return time.Time{}
			}
			return s.meta.GetExpireTime().AsTime()
		}}
	case "replication.automatic":
		return texts(func(s *pb.Secret) []string {
			if s.GetReplication().GetAutomatic() == nil {
				return nil
			}
			return []string{""}
		})
	case "replication.user_managed.replicas.location":
		return texts(func(s *pb.Secret) []string {
			var locations []string
			for _, r := range s.GetReplication().GetUserManaged().GetReplicas() {
				locations = append(locations, r.GetLocation())
			}
			return locations
		})
	}
	return nil
}

func entry(m map[string]string, key string) []string {
	if value, ok := m[key]; ok {
		return []string{value}
	}
	return nil
}

// versionFilter reads a filter of ListSecretVersions.
func versionFilter(text string, of resource) (condition[*version], error) {
	return parseFilter(text, func(path string) *field[*version] {
		switch path {
		case "name":
			return &field[*version]{texts: func(v *version) []string { return []string{of.at(v.number)} }}
		case "state":
			return &field[*version]{
				texts:   func(v *version) []string { return []string{v.state.String()} },
				allowed: []string{"ENABLED", "DISABLED", "DESTROYED"},
			}
		case "create_time":
			return &field[*version]{time: func(v *version) time.Time { return v.created }}
		case "destroy_time":
			return &field[*version]{time: func(v *version) time.Time { return v.destroyed }}
		}
		return nil
	})
}
