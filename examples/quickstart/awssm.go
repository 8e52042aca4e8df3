package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"

	"github.com/tokenkeep/tokenkeep/awssm"
	"github.com/tokenkeep/tokenkeep/awssm/awssmtest"
	"github.com/tokenkeep/tokenkeep/token"
)

var onAWS = kind{
	name:  "awssm",
	title: "AWS Secrets Manager",
	flags: []string{"aws", "endpoint", "region"},
	calls: "requests that the AWS SDK sent, retries included",
	list:  "a few reads of the index, and one of every 20 records",
	quota: "AWS takes 100 writes of one secret in 24 hours, and so many of one record. Wait a day.",
	open:  openAWS,
}

func openAWS(ctx context.Context, o options, s *service) error {
	cfg := aws.Config{ // no credentials that are worth anything leave the process
		Region:      cmp.Or(o.region, "us-east-1"),
		Credentials: credentials.NewStaticCredentialsProvider("quickstart", "quickstart", ""),
	}
	if o.aws {
		var err error
		if cfg, err = config.LoadDefaultConfig(ctx); err != nil {
			return fmt.Errorf("the AWS configuration: %w", err)
		}
		if cfg.Region = cmp.Or(o.region, cfg.Region); cfg.Region == "" {
			return errors.New("no AWS region is configured: name one with -region")
		}
	}
	switch {
	case o.endpoint != "":
		u, err := url.Parse(o.endpoint)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
			return errors.New("-endpoint is not a URL like http://localhost:4566")
		}
		s.what = o.endpoint
	case o.aws:
		s.what = "AWS Secrets Manager, in your account, region " + cfg.Region
	default:
		double := awssmtest.NewServer(awssmtest.WithRegion(cfg.Region))
		s.inProcess()
		s.close, o.endpoint = double.Close, double.URL
	}
	s.under = s.prefix + "/"
	client := secretsmanager.NewFromConfig(cfg, func(c *secretsmanager.Options) {
		if o.endpoint != "" {
			c.BaseEndpoint = &o.endpoint
		}
		c.HTTPClient = awshttp.NewBuildableClient().WithTimeout(10 * time.Second)
		// Sixteen workers may write faster than the 50 times a second that AWS takes.
		c.Retryer = retry.NewStandard(func(r *retry.StandardOptions) { r.MaxAttempts, r.MaxBackoff = 8, time.Second })
		c.Logger = logging.Nop{} // what the SDK warns of, it sends again; errors come back as errors
		c.APIOptions = append(c.APIOptions, s.watchAWS)
	})
	s.store = func() (*token.Store, error) { return awssm.New(client, s.prefix, nil) }
	s.remove = func(ctx context.Context, name string) error {
		// Without the time in which a deleted secret can be restored.
		_, err := client.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: &name, ForceDeleteWithoutRecovery: aws.Bool(true)})
		return err
	}
	return nil
}

// watchAWS is a middleware of the AWS SDK. What counts stands behind the SDK's retries: each
// of them comes by there.
func (s *service) watchAWS(stack *middleware.Stack) error {
	create := func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (
		middleware.InitializeOutput, middleware.Metadata, error,
	) {
		if create, ok := in.Parameters.(*secretsmanager.CreateSecretInput); ok {
			s.note(aws.ToString(create.Name))
			var cancel context.CancelFunc
			ctx, cancel = uncut(ctx)
			defer cancel()
		}
		return next.HandleInitialize(ctx, in)
	}
	count := func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (
		middleware.FinalizeOutput, middleware.Metadata, error,
	) {
		s.calls.Add(1)
		return next.HandleFinalize(ctx, in)
	}
	return errors.Join(
		stack.Initialize.Add(middleware.InitializeMiddlewareFunc("quickstart.created", create), middleware.Before),
		stack.Finalize.Add(middleware.FinalizeMiddlewareFunc("quickstart.calls", count), middleware.After))
}
