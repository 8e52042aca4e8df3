package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go/logging"

	"github.com/tokenkeep/tokenkeep/awssm"
	"github.com/tokenkeep/tokenkeep/awssm/awssmtest"
	"github.com/tokenkeep/tokenkeep/token"
)

type options struct {
	file, endpoint, region string
	aws                    bool
}

// A service is where the tokens go, by a client that counts its requests and notes what it
// creates.
type service struct {
	client *secretsmanager.Client
	what   string // for the reader
	prefix string
	calls  atomic.Int64
	close  func()

	mu      sync.Mutex
	created []string // names of secrets
}

// connect makes the client: of the double unless the options name another service.
func connect(ctx context.Context, o options) (*service, error) {
	s := &service{prefix: "tokenkeep-quickstart/" + strings.ToLower(rand.Text()[:12]), close: func() {}}
	cfg := aws.Config{ // no credentials that are worth anything leave the process
		Region:      cmp.Or(o.region, "us-east-1"),
		Credentials: credentials.NewStaticCredentialsProvider("quickstart", "quickstart", ""),
	}
	if o.aws {
		var err error
		if cfg, err = config.LoadDefaultConfig(ctx); err != nil {
			return nil, fmt.Errorf("the AWS configuration: %w", err)
		}
		if cfg.Region = cmp.Or(o.region, cfg.Region); cfg.Region == "" {
			return nil, errors.New("no AWS region is configured: name one with -region")
		}
	}
	switch {
	case o.endpoint != "":
		u, err := url.Parse(o.endpoint)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
			return nil, errors.New("-endpoint is not a URL like http://localhost:4566")
		}
		s.what = o.endpoint
	case o.aws:
		s.what = "AWS Secrets Manager, in your account, region " + cfg.Region
	default:
		double := awssmtest.NewServer(awssmtest.WithRegion(cfg.Region))
		s.what, s.close = "a double of AWS Secrets Manager in this process: no network, no account", double.Close
		s.prefix, o.endpoint = "quickstart", double.URL
	}
	s.client = secretsmanager.NewFromConfig(cfg, func(c *secretsmanager.Options) {
		if o.endpoint != "" {
			c.BaseEndpoint = &o.endpoint
		}
		c.HTTPClient = awshttp.NewBuildableClient().WithTimeout(10 * time.Second)
		// Sixteen workers may write faster than the 50 times a second that AWS takes.
		c.Retryer = retry.NewStandard(func(r *retry.StandardOptions) { r.MaxAttempts, r.MaxBackoff = 8, time.Second })
		c.Logger = logging.Nop{} // what the SDK warns of, it sends again; errors come back as errors
		c.APIOptions = append(c.APIOptions, s.watch)
	})
	return s, nil
}

// store returns a new store on the service. It knows nothing of the others.
func (s *service) store() (*token.Store, error) { return awssm.New(s.client, s.prefix, nil) }
