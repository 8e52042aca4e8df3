package awssmtest

import (
	"slices"
	"time"
)

// rateQuotas are AWS's quotas of requests per second. Operations in one group
// share one. Those of the first two groups are from the quotas page; the others
// from older tables and reports.
var rateQuotas = []struct {
	perSecond  int
	operations []string
}{
	{10_000, []string{"DescribeSecret", "GetSecretValue"}},
	{50, []string{"PutSecretValue", "UpdateSecret", "UpdateSecretVersionStage"}},
	{50, []string{"CreateSecret"}},
	{50, []string{"DeleteSecret"}},
	{50, []string{"RestoreSecret"}},
	{50, []string{"TagResource", "UntagResource"}},
	{100, []string{"ListSecrets", "ListSecretVersionIds"}},
	{100, []string{"BatchGetSecretValue"}},
}

// rateLimits counts the requests of the second at hand.
type rateLimits struct {
	second int64
	counts [8]int // as in rateQuotas
}

func (l *rateLimits) allow(operation string, now time.Time) bool {
	if second := now.Unix(); second != l.second {
		*l = rateLimits{second: second}
	}
	for i, group := range rateQuotas {
		if slices.Contains(group.operations, operation) {
			l.counts[i]++
			return l.counts[i] <= group.perSecond
		}
	}
	return true
}
