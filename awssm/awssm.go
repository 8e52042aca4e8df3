// Package awssm keeps tokens in AWS Secrets Manager: one secret for each token,
// and a few for the index.
//
//	cfg, err := config.LoadDefaultConfig(ctx)
//	...
//	store, err := awssm.New(secretsmanager.NewFromConfig(cfg), "prod/oauth", nil)
//
// All secrets of a store have names that begin with its prefix and a slash. Any
// number of processes may use one prefix at once, and any number of prefixes one
// account. Prefixes may extend each other: stores under "app", "app-2" and
// "app/sub" do not see each other.
//
// docs/aws.md of the repository has the least IAM policy, the quotas, the price and
// what an operator may do by hand.
//
// # The client
//
// The client is the caller's; its retries and timeouts decide how long a call may
// take. These are sensible:
//
//	client := secretsmanager.NewFromConfig(cfg, func(o *secretsmanager.Options) {
//		o.HTTPClient = awshttp.NewBuildableClient().WithTimeout(10 * time.Second)
//		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) {
//			o.MaxAttempts = 5
//			o.MaxBackoff = 5 * time.Second
//		})
//	})
//
// The SDK's own HTTP client waits five minutes for an answer, in older versions for
// ever: one request that hangs then holds a call until its context ends. With a
// shorter timeout the request is sent again, which is safe here: a repeated write
// finds that it was done.
//
// Retries in standard mode (three attempts, back-off of up to 20 seconds) are good
// for most programs; see [retry modes] and package aws/retry. The adaptive mode also
// limits the rate at which the client sends, for all callers of that client
// together, once anything was throttled: it suits a batch job with a client of its
// own, not a server. Without retries a store works too, since a write whose outcome
// is unknown is settled here, not by the SDK; but reads then fail at the first
// disturbance.
//
// The client must talk to Secrets Manager itself, or to a [VPC endpoint] of it, in
// the Region of the primary secrets. The AWS Secrets Manager Agent, the Lambda
// extension and the caching libraries answer with values that are minutes old,
// which makes every write fail for that long.
//
// [retry modes]: https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
// [VPC endpoint]: https://docs.aws.amazon.com/secretsmanager/latest/userguide/vpc-endpoint-overview.html
package awssm

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

// Options configure a store in Secrets Manager. The zero value, and nil, are good
// defaults.
type Options struct {
	// Store configures what is the same for all services.
	Store token.Options

	// KMSKeyID names the KMS key that new secrets are encrypted with: its id, ARN or
	// alias. Empty: aws/secretsmanager, the key that AWS manages. A secret keeps
	// the key that it was created with.
	KMSKeyID string

	// Tags are given to new secrets, for cost allocation or for policies. They hold
	// no secrets: who may list may read them. Tags need the right to
	// secretsmanager:TagResource.
	Tags map[string]string

	// RecoveryWindowDays is how many days a deleted secret can be restored, 7 to
	// 30. Zero: 30. AWS charges nothing for a secret that waits for its end.
	//
	// DeleteToken overwrites the record with a tombstone at once, and the secret is
	// scheduled for deletion as soon as its entries are out of the index. Secrets of
	// ids that the caller chose stay, as a save may bring them back to life.
	//
	// A deletion is no revocation, whatever the options: until the secret is removed
	// for good, the version before the tombstone (AWSPREVIOUS) holds the tokens. Who
	// has the right to secretsmanager:GetSecretValue can read it, also after a
	// RestoreSecret. Revoke the tokens at their provider.
	RecoveryWindowDays int

	// ForceDelete deletes secrets without recovery, and not at once: the index notes
	// the tombstone, and a deletion by any process, a day or more later, removes it,
	// 20 tombstones at most for each deletion. One that no later deletion follows
	// stays, and costs what a secret costs. Secrets of ids that the caller chose stay.
	//
	// The name is free as soon as AWS has worked the removal off, in a few seconds as
	// a rule; until then Get and Put say driver.ErrDeleted.
	ForceDelete bool
}

// New returns a store in Secrets Manager under a prefix: 1 to 431 characters A-Z,
// a-z, 0-9 and /_+=.@- that neither begins nor ends with a slash nor has two in a
// row. It does no I/O and reads no environment. opts may be nil; it is read and not
// kept. What is wrong with an argument is [token.ErrInvalid], and the text says what.
//
// The client stays the caller's; the store uses it from any number of goroutines.
// See the package comment for how to set it up.
func New(client *secretsmanager.Client, prefix string, opts *Options) (*token.Store, error) {
	d, err := NewDriver(client, prefix, opts)
	if err != nil {
		return nil, err
	}
	if opts == nil {
		return token.NewStore(d, nil)
	}
	return token.NewStore(d, &opts.Store)
}

// The bounds of Options: the service's.
const (
	minWindow, maxWindow = 7, 30 // days
	maxKMSKeyID          = 2048
	maxTags              = 50
	maxTagKey            = 128
	maxTagValue          = 256
)

func (o *Options) check() error {
	invalid := func(format string, args ...any) error {
		return fmt.Errorf("awssm: %w: Options."+format, append([]any{driver.ErrInvalid}, args...)...)
	}
	switch {
	case o.ForceDelete && o.RecoveryWindowDays != 0:
		return invalid("ForceDelete and Options.RecoveryWindowDays exclude each other")
	case o.RecoveryWindowDays != 0 && (o.RecoveryWindowDays < minWindow || o.RecoveryWindowDays > maxWindow):
		return invalid("RecoveryWindowDays is %d, not from %d to %d", o.RecoveryWindowDays, minWindow, maxWindow)
	case len(o.KMSKeyID) > maxKMSKeyID:
		return invalid("KMSKeyID has more than %d characters", maxKMSKeyID)
	case len(o.Tags) > maxTags:
		return invalid("Tags has %d tags, more than %d", len(o.Tags), maxTags)
	}
	for key, value := range o.Tags {
		switch {
		case key == "" || utf8.RuneCountInString(key) > maxTagKey:
			return invalid("Tags has a key of %d characters, not 1 to %d", utf8.RuneCountInString(key), maxTagKey)
		case utf8.RuneCountInString(value) > maxTagValue:
			return invalid("Tags[%q] has more than %d characters", key, maxTagValue)
		case strings.HasPrefix(strings.ToLower(key), "aws:"):
			return invalid("Tags has the key %q: those that begin with aws: are AWS's", key)
		case !utf8.ValidString(key) || !utf8.ValidString(value):
			return invalid("Tags has a text that is not UTF-8")
		}
	}
	return nil
}

// tags returns the tags in a fixed order: a repeated request is the same request.
func (o *Options) tags() []types.Tag {
	var tags []types.Tag
	for key, value := range o.Tags {
		tags = append(tags, types.Tag{Key: &key, Value: &value})
	}
	slices.SortFunc(tags, func(a, b types.Tag) int { return cmp.Compare(*a.Key, *b.Key) })
	return tags
}
