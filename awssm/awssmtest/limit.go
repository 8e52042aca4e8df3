package awssmtest

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The limits of the service. Those without a mark are from AWS's quotas page or
// the API's model.
const (
	maxName        = 512
	maxSecretID    = 2048
	maxDescription = 2048
	maxKmsKeyID    = 2048
	maxValue       = 65536 // bytes
	minToken       = 32    // characters; a token becomes a version id
	maxToken       = 64
	maxStage       = 256 // characters of one label
	maxStages      = 20  // labels in one request; also labels on all versions of a secret
	maxVersions    = 100
	maxSecrets     = 500_000
	maxTags        = 50
	maxTagKey      = 128
	maxTagValue    = 256
	maxBatch       = 20
	maxPage        = 100
	maxFilters     = 10

	minRecoveryDays, maxRecoveryDays = 7, 30

	// "Secrets Manager doesn't remove versions created less than 24 hours ago."
	keepVersions = 24 * time.Hour
)

var (
	// The documentation allows these; the service's own error text adds '!', which
	// only the services that manage secrets for their users may put into names.
	newName = regexp.MustCompile(`^[A-Za-z0-9/_+=.@-]+$`)
	anyName = regexp.MustCompile(`^[A-Za-z0-9/_+=.@!-]+$`)
)

func checkLength(value *string, member string, low, high int) *Error {
	if value == nil {
		return nil
	}
	switch n := utf8.RuneCountInString(*value); {
	case n < low:
		return errConstraint(*value, member, "have length greater than or equal to %d", low)
	case n > high:
		return errConstraint(*value, member, "have length less than or equal to %d", high)
	}
	return nil
}

func checkCount(n int, member string, high int) *Error {
	if n < 1 {
		return errConstraint("[]", member, "have length greater than or equal to 1")
	}
	if n > high {
		return errConstraint(fmt.Sprintf("[%d members]", n), member, "have length less than or equal to %d", high)
	}
	return nil
}

func checkRange(n *int, member string, high int) *Error {
	if n != nil && *n < 1 {
		return errConstraint(strconv.Itoa(*n), member, "have value greater than or equal to 1")
	}
	if n != nil && *n > high {
		return errConstraint(strconv.Itoa(*n), member, "have value less than or equal to %d", high)
	}
	return nil
}

func checkNewName(name *string) *Error {
	if name == nil {
		return errRequired("name")
	}
	if e := checkLength(name, "name", 1, maxName); e != nil {
		return e
	}
	if !newName.MatchString(*name) {
		return errName()
	}
	return nil
}

func checkDescription(in *input) *Error {
	if e := checkLength(in.Description, "description", 0, maxDescription); e != nil {
		return e
	}
	return checkLength(in.KmsKeyID, "kmsKeyId", 0, maxKmsKeyID)
}

// checkVersionID is for ids of versions that should exist. The bounds are the
// model's; which error AWS answers is inferred.
func checkVersionID(id *string, member string) *Error {
	if id != nil && (len(*id) < minToken || len(*id) > maxToken) {
		return invalidParameter("%s must be %d-%d characters long.", member, minToken, maxToken)
	}
	return nil
}

// checkValue checks value and token of a request that may bring a new version.
func checkValue(in *input) *Error {
	if in.SecretString != nil && in.SecretBinary != nil {
		return errTwoValues()
	}
	// The model counts characters, the quotas page bytes. Bytes are stricter.
	if in.SecretString != nil {
		if e := checkValueSize(len(*in.SecretString), "secretString"); e != nil {
			return e
		}
	}
	if in.SecretBinary != nil {
		if e := checkValueSize(len(in.SecretBinary), "secretBinary"); e != nil {
			return e
		}
	}
	if in.ClientRequestToken == nil {
		if in.hasValue() {
			return errNoToken()
		}
		return nil
	}
	if n := utf8.RuneCountInString(*in.ClientRequestToken); n < minToken || n > maxToken {
		return errTokenLength()
	}
	return nil
}

func checkValueSize(n int, member string) *Error {
	if n < 1 {
		return errConstraint("", member, "have length greater than or equal to 1")
	}
	if n > maxValue {
		return errConstraint("", member, "have length less than or equal to %d", maxValue)
	}
	return nil
}

func (in *input) hasValue() bool { return in.SecretString != nil || in.SecretBinary != nil }

func checkStages(stages []string) *Error {
	if stages == nil {
		return nil
	}
	if e := checkCount(len(stages), "versionStages", maxStages); e != nil {
		return e
	}
	for _, stage := range stages {
		if e := checkLength(&stage, "versionStages", 1, maxStage); e != nil {
			return e
		}
	}
	return nil
}

func checkTags(tags []tag) *Error {
	for i, t := range tags {
		member := fmt.Sprintf("tags.%d.member", i+1)
		if t.Key == nil {
			return errRequired(member + ".key")
		}
		if e := checkLength(t.Key, member+".key", 1, maxTagKey); e != nil {
			return e
		}
		if e := checkLength(t.Value, member+".value", 0, maxTagValue); e != nil {
			return e
		}
		if strings.HasPrefix(strings.ToLower(*t.Key), "aws:") {
			return invalidParameter("Tag keys that start with aws: are reserved.") // [inf]
		}
	}
	return nil
}
