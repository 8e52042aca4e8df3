// Package gcpsm keeps tokens in Google Secret Manager: one secret for each token, and
// a few for the index.
//
//	client, err := secretmanager.NewClient(ctx)
//	...
//	store, err := gcpsm.New(client, "projects/my-project", "prod/oauth", nil)
//
// All secrets of a store have ids that begin with its prefix and two underscores; a
// slash in the prefix is written as two underscores too, since ids have no slash. Any
// number of processes may use one prefix at once, and any number of prefixes one
// project. Prefixes may extend each other: stores under "app", "app-2" and "app/sub" do
// not see each other.
//
// The parent is a project, "projects/P", whose secrets are global, or one of its
// locations, "projects/P/locations/L", whose secrets are regional. A regional store
// needs a client with the endpoint of its location:
//
//	client, err := secretmanager.NewClient(ctx,
//		option.WithEndpoint("secretmanager.europe-west3.rep.googleapis.com:443"))
//
// docs/gcp.md of the repository has the least role, the quotas, the price and what an
// operator may do by hand.
//
// # The client
//
// The client is the caller's, one for gRPC or, made with NewRESTClient, one for HTTP. Its
// retries and timeouts do not matter: those of the generated client wait two seconds
// before the first, and cover one method of all. The store bounds each request with ten
// seconds. It repeats what was not answered, after random waits of up to a second: reads
// for five seconds, writes until their outcome is known. What ran into a quota it repeats
// after longer waits, for as long as the operation's context lasts.
//
// # Versions
//
// Each save adds a version and destroys the one before it, so that a secret has one
// active version, which is what Google charges for. Secret Manager has no compare-and-set;
// the store makes one of the numbers of versions. For that, versions must come from
// tokenkeep alone: one that is added, disabled or destroyed by hand is [token.ErrCorrupt]
// if it is the newest. (A copy of an older version counts for nothing.)
package gcpsm

import (
	"fmt"
	"maps"
	"strings"
	"time"
	"unicode/utf8"

	secretmanager "cloud.google.com/go/secretmanager/apiv1"
	secretmanagerpb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"golang.org/x/time/rate"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

// Options configure a store in Secret Manager. The zero value, and nil, are good
// defaults. What they say of secrets is given to new ones: a secret keeps what it was
// created with.
type Options struct {
	// Store configures what is the same for all services.
	Store token.Options

	// Replicas are the locations of global secrets. None: Google chooses (automatic
	// replication), and charges for one. Each location of this list is charged for. A
	// regional store has none.
	Replicas []Replica

	// KMSKey names the Cloud KMS key that secrets are encrypted with,
	// projects/P/locations/L/keyRings/R/cryptoKeys/K, for automatic replication and for
	// regional secrets; with Replicas, each has its own. Empty: Google's.
	KMSKey string

	// Labels are given to new secrets, for cost allocation; Annotations too, for notes.
	// They hold no secrets: who may list may read them.
	Labels      map[string]string
	Annotations map[string]string

	// VersionDestroyTTL is how long a version that was replaced can be restored: it is
	// disabled for so long, and then destroyed. Zero: it is destroyed at once. At least 24
	// hours. A disabled version holds its tokens and is charged for.
	VersionDestroyTTL time.Duration

	// Pace keeps the store under the quotas.
	Pace Pace
}

// A Replica is a location of a global secret.
type Replica struct {
	Location string // "europe-west3"
	KMSKey   string // of the same location; all replicas have one, or none has
}

// Pace is how fast one store writes. What is faster waits; what other processes use of
// the same quotas is met with repetitions that wait longer. Zero values are the quotas
// that Google gives; negative ones are no bounds.
//
// https://docs.cloud.google.com/secret-manager/quotas
type Pace struct {
	// SecretAdds is how many versions one secret gets in a second; of numbers that end in
	// 0, a tenth of it in a tenth of a second. Zero: 2 for global secrets, 80 for regional
	// ones.
	SecretAdds int
	// ProjectWrites is how many requests that write are sent in a minute. A save of a
	// known token is two of them, that of a new token four as a rule. Zero: 600.
	ProjectWrites int
}

// New returns a store in Secret Manager, below a parent and under a prefix.
//
// The parent is projects/P or projects/P/locations/L. The prefix is 1 to 173 characters
// A-Z, a-z, 0-9 and /_- (a slash counts twice). It neither begins nor ends with a slash,
// nor has two in a row, nor two underscores, and underscores stand between other
// characters.
//
// New does no I/O and reads no environment. opts may be nil; it is read and not kept. What
// is wrong with an argument is [token.ErrInvalid], and the text says what.
//
// The client stays the caller's; the store uses it from any number of goroutines.
func New(client *secretmanager.Client, parent, prefix string, opts *Options) (*token.Store, error) {
	d, err := NewDriver(client, parent, prefix, opts)
	if err != nil {
		return nil, err
	}
	if opts == nil {
		return token.NewStore(d, nil)
	}
	return token.NewStore(d, &opts.Store)
}

// The quotas of the service.
//
// https://docs.cloud.google.com/secret-manager/quotas
const (
	globalAdds    = 2  // per second and secret
	regionalAdds  = 80 // per second and secret
	projectWrites = 600
	// writesAtOnce of them may come without a wait; with what comes after, no minute has
	// more than the quota.
	writesAtOnce = 60
)

// adds returns how many adds a window of time may hold.
func (p Pace) adds(regional bool) (int, time.Duration) {
	n := p.SecretAdds
	switch {
	case n < 0:
		return 0, 0
	case n == 0 && regional:
		n = regionalAdds
	case n == 0:
		n = globalAdds
	}
	if n%10 == 0 { // a tenth of a second is enough to look at
		return n / 10, time.Second / 10
	}
	return n, time.Second
}

func (p Pace) writes() *rate.Limiter {
	n := p.ProjectWrites
	switch {
	case n < 0:
		return rate.NewLimiter(rate.Inf, 0)
	case n == 0:
		n = projectWrites
	}
	atOnce := max(min(writesAtOnce, n/2), 2) // a save of a known token is two
	return rate.NewLimiter(rate.Limit(float64(max(n-atOnce, 1))/60), atOnce)
}

// The bounds of Options: the service's.
//
// https://docs.cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets
const (
	maxLabels      = 64
	maxLabel       = 63        // characters
	maxAnnotations = 16 * 1024 // bytes
	maxAnnotation  = 63        // characters of a key
	minDestroyTTL  = 24 * time.Hour
	maxSecretAdds  = 10_000
)

func (o *Options) check(regional bool) error {
	invalid := func(format string, args ...any) error {
		return fmt.Errorf("gcpsm: %w: Options."+format, append([]any{driver.ErrInvalid}, args...)...)
	}
	switch {
	case regional && len(o.Replicas) > 0:
		return invalid("Replicas: a regional store has none: its location is in the parent")
	case len(o.Replicas) > 0 && o.KMSKey != "":
		return invalid("KMSKey and Options.Replicas exclude each other: each replica has a key of its own")
	case o.KMSKey != "" && !isKey(o.KMSKey):
		return invalid("KMSKey is none of projects/P/locations/L/keyRings/R/cryptoKeys/K")
	case len(o.Labels) > maxLabels:
		return invalid("Labels has %d labels, more than %d", len(o.Labels), maxLabels)
	case o.VersionDestroyTTL != 0 && o.VersionDestroyTTL < minDestroyTTL:
		return invalid("VersionDestroyTTL is %v, less than %v", o.VersionDestroyTTL, minDestroyTTL)
	case o.Pace.SecretAdds > maxSecretAdds:
		return invalid("Pace.SecretAdds is more than %d; a negative number is no bound", maxSecretAdds)
	}
	seen := map[string]bool{}
	for i, r := range o.Replicas {
		switch {
		case !plain(r.Location, "") || seen[r.Location]:
			return invalid("Replicas[%d] has no location, or one that is there already", i)
		case (r.KMSKey == "") != (o.Replicas[0].KMSKey == ""):
			return invalid("Replicas: some have a KMS key and some have none")
		case r.KMSKey != "" && !isKey(r.KMSKey):
			return invalid("Replicas[%d].KMSKey is none of projects/P/locations/L/keyRings/R/cryptoKeys/K", i)
		}
		seen[r.Location] = true
	}
	for key, value := range o.Labels {
		if !isLabel(key) || key == "" || strings.ContainsAny(key[:1], digits+"_-") || !isLabel(value) {
			return invalid("Labels[%q]: a key begins with a lower-case letter; keys and values are up to %d lower-case letters, digits, _ and -", key, maxLabel)
		}
	}
	size := 0
	for key, value := range o.Annotations {
		size += len(key) + len(value)
		switch {
		case !isAnnotation(key):
			return invalid("Annotations[%q]: a key is 1 to %d letters, digits, - _ and ., and begins and ends with a letter or a digit", key, maxAnnotation)
		case !utf8.ValidString(value):
			return invalid("Annotations[%q] is not UTF-8", key)
		}
	}
	if size >= maxAnnotations {
		return invalid("Annotations takes %d bytes, and has to take less than %d", size, maxAnnotations)
	}
	return nil
}

func isKey(name string) bool {
	p := strings.Split(name, "/")
	return len(p) == 8 && p[0] == "projects" && p[2] == "locations" && p[4] == "keyRings" && p[6] == "cryptoKeys" &&
		p[1] != "" && p[3] != "" && p[5] != "" && p[7] != ""
}

// isLabel reports whether a text can be the key or the value of a label. The service
// also takes letters of other alphabets; this does not.
func isLabel(text string) bool {
	return len(text) <= maxLabel && strings.Trim(text, lower+digits+"_-") == ""
}

func isAnnotation(key string) bool {
	return key != "" && len(key) <= maxAnnotation && strings.Trim(key, lower+upper+digits+"-_.") == "" &&
		!strings.ContainsAny(key[:1]+key[len(key)-1:], "-_.")
}

// secret returns what a new secret is created with.
func (o *Options) secret(regional bool) *secretmanagerpb.Secret {
	s := &secretmanagerpb.Secret{Labels: maps.Clone(o.Labels), Annotations: maps.Clone(o.Annotations)}
	if o.VersionDestroyTTL > 0 {
		s.VersionDestroyTtl = durationpb.New(o.VersionDestroyTTL)
	}
	key := encryption(o.KMSKey)
	switch {
	case regional:
		s.CustomerManagedEncryption = key
	case len(o.Replicas) == 0:
		s.Replication = &secretmanagerpb.Replication{Replication: &secretmanagerpb.Replication_Automatic_{
			Automatic: &secretmanagerpb.Replication_Automatic{CustomerManagedEncryption: key},
		}}
	default:
		managed := &secretmanagerpb.Replication_UserManaged{}
		for _, r := range o.Replicas {
			managed.Replicas = append(managed.Replicas, &secretmanagerpb.Replication_UserManaged_Replica{
				Location: r.Location, CustomerManagedEncryption: encryption(r.KMSKey),
			})
		}
		s.Replication = &secretmanagerpb.Replication{Replication: &secretmanagerpb.Replication_UserManaged_{UserManaged: managed}}
	}
	return s
}

func encryption(key string) *secretmanagerpb.CustomerManagedEncryption {
	if key == "" {
		return nil
	}
	return &secretmanagerpb.CustomerManagedEncryption{KmsKeyName: key}
}
