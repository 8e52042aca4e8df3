package gcpsmtest

import (
	"regexp"
	"time"

	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// The limits of the service, from its quotas page and the comments in the API's
// types, unless they say something else.
//
// https://cloud.google.com/secret-manager/quotas
const (
	maxPayload     = 65_536 // bytes
	maxLabels      = 64
	maxLabel       = 128 // bytes of a key or a value; 63 characters
	maxAliases     = 50
	maxAnnotations = 16 << 10 // bytes of all keys and values; must be less
	maxTopics      = 10
	maxPage        = 25_000

	minDestroyTTL = 24 * time.Hour
	maxDestroyTTL = 1000 * 24 * time.Hour // inferred

	minRotation = 5 * time.Minute // ahead
	minPeriod   = time.Hour
	maxAhead    = 3_153_600_000 // seconds; 100 years is more than a time.Duration holds
)

var (
	labelKey      = regexp.MustCompile(`^[\p{Ll}\p{Lo}][\p{Ll}\p{Lo}\p{N}_-]{0,62}$`)
	labelValue    = regexp.MustCompile(`^[\p{Ll}\p{Lo}\p{N}_-]{0,63}$`)
	annotationKey = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$`)
	aliasName     = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,62}$`)
	topicName     = regexp.MustCompile(`^projects/[^/]+/topics/[^/]+$`)
)

// checkSecret checks all that a client may set, but replication, expiration and
// the plan of rotations.
func checkSecret(sec *pb.Secret, versions *secret) error {
	for _, err := range []error{
		checkLabels(sec.GetLabels()),
		checkAnnotations(sec.GetAnnotations()),
		checkAliases(sec.GetVersionAliases(), versions),
		checkTopics(sec),
		checkDestroyTTL(sec),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

func checkLabels(labels map[string]string) error {
	if len(labels) > maxLabels {
		return errTooMany("labels", len(labels), maxLabels)
	}
	for key, value := range labels {
		if !labelKey.MatchString(key) || len(key) > maxLabel {
			return errPattern("labels", key, `[\p{Ll}\p{Lo}][\p{Ll}\p{Lo}\p{N}_-]{0,62}`)
		}
		if !labelValue.MatchString(value) || len(value) > maxLabel {
			return errPattern("labels."+key, value, `[\p{Ll}\p{Lo}\p{N}_-]{0,63}`)
		}
	}
	return nil
}

func checkAnnotations(annotations map[string]string) error {
	size := 0
	for key, value := range annotations {
		if !annotationKey.MatchString(key) {
			return errPattern("annotations", key, `[a-zA-Z0-9]([a-zA-Z0-9_.-]{0,61}[a-zA-Z0-9])?`)
		}
		size += len(key) + len(value)
	}
	if size >= maxAnnotations {
		return errAnnotationSize(size)
	}
	return nil
}

// checkAliases: an alias "must start with a letter and cannot be the string
// 'latest' or 'NEW'". That the version has to exist is inferred.
func checkAliases(aliases map[string]int64, versions *secret) error {
	if len(aliases) > maxAliases {
		return errTooMany("version_aliases", len(aliases), maxAliases)
	}
	for alias, number := range aliases {
		if !aliasName.MatchString(alias) || alias == latest || alias == "NEW" {
			return errPattern("version_aliases", alias, `[A-Za-z][A-Za-z0-9_-]{0,62}`)
		}
		if versions == nil || versions.find(number) == nil {
			return errAliasOfNothing(alias, number)
		}
	}
	return nil
}

func checkTopics(sec *pb.Secret) error {
	topics := sec.GetTopics()
	if len(topics) > maxTopics {
		return errTooMany("topics", len(topics), maxTopics)
	}
	if len(topics) == 0 && sec.GetRotation() != nil {
		return errRotation("needs at least one topic")
	}
	for _, t := range topics {
		if !topicName.MatchString(t.GetName()) {
			return errPattern("topics", t.GetName(), "projects/*/topics/*")
		}
	}
	return nil
}

// checkRotation checks a plan that the double keeps and does not follow: it sends
// no notifications.
//
// https://cloud.google.com/secret-manager/docs/secret-rotation
func checkRotation(sec *pb.Secret, now time.Time) error {
	r := sec.GetRotation()
	if r == nil {
		return nil
	}
	next, period := r.GetNextRotationTime(), r.GetRotationPeriod()
	if period != nil && next == nil {
		return errRotation("needs next_rotation_time if rotation_period is set")
	}
	if next != nil && (!next.IsValid() || next.AsTime().Before(now.Add(minRotation)) || tooFar(next, now)) {
		return errRotation("needs a next_rotation_time at least 300s and at most 3153600000s in the future")
	}
	if period != nil && (!period.IsValid() || period.AsDuration() < minPeriod || period.GetSeconds() > maxAhead || period.GetNanos() != 0) {
		return errRotation("needs a rotation_period in seconds, at least 3600s and at most 3153600000s")
	}
	return nil
}

func checkDestroyTTL(sec *pb.Secret) error {
	ttl := sec.GetVersionDestroyTtl()
	if ttl != nil && (!ttl.IsValid() || ttl.AsDuration() < minDestroyTTL || ttl.AsDuration() > maxDestroyTTL) {
		return errDestroyTTL()
	}
	return nil
}

// expireTime turns the client's expiration into what is answered: "This is always
// provided on output, regardless of what was sent on input."
func expireTime(sec *pb.Secret, now time.Time) error {
	if sec.GetExpiration() == nil {
		return nil
	}
	at := sec.GetExpireTime()
	if ttl := sec.GetTtl(); ttl != nil {
		if !ttl.IsValid() || ttl.GetSeconds() > maxAhead {
			return errExpiration()
		}
		at = timestamppb.New(now.Add(ttl.AsDuration()))
	}
	if at == nil || !at.IsValid() || !at.AsTime().After(now) || tooFar(at, now) {
		return errExpiration()
	}
	sec.Expiration = &pb.Secret_ExpireTime{ExpireTime: at}
	return nil
}

func tooFar(t *timestamppb.Timestamp, now time.Time) bool {
	return t.GetSeconds()-now.Unix() > maxAhead
}
