package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go/middleware"
)

// watch is a middleware of the AWS SDK.
func (s *service) watch(stack *middleware.Stack) error {
	return errors.Join(
		stack.Initialize.Add(middleware.InitializeMiddlewareFunc("quickstart.created", s.noteCreation), middleware.Before),
		stack.Finalize.Add(middleware.FinalizeMiddlewareFunc("quickstart.calls", s.countRequest), middleware.After))
}

// countRequest stands behind the SDK's retries: each of them comes by here.
func (s *service) countRequest(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (
	middleware.FinalizeOutput, middleware.Metadata, error,
) {
	s.calls.Add(1)
	return next.HandleFinalize(ctx, in)
}

// noteCreation notes the names of secrets before they are created. An interrupt does not
// cut a creation short: what may come to be after its removal would stay.
func (s *service) noteCreation(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (
	middleware.InitializeOutput, middleware.Metadata, error,
) {
	if create, ok := in.Parameters.(*secretsmanager.CreateSecretInput); ok {
		s.mu.Lock()
		if name := aws.ToString(create.Name); !slices.Contains(s.created, name) {
			s.created = append(s.created, name)
		}
		s.mu.Unlock()
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
	}
	return next.HandleInitialize(ctx, in)
}

// recordSecrets is how many secrets of records this run created: docs/format.md has the names.
func (s *service) recordSecrets() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range s.created {
		if strings.HasPrefix(name, s.prefix+"/token-") {
			n++
		}
	}
	return n
}

// cleanUp removes every secret that this run created, for good: without the time in which
// a deleted secret can be restored. A program has no need of this: it calls DeleteToken.
func (s *service) cleanUp(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, name := range s.created {
		if !strings.HasPrefix(name, s.prefix+"/") {
			return "", errors.New("a secret was created outside the prefix: not removed")
		}
		_, err := s.client.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{
			SecretId: &name, ForceDeleteWithoutRecovery: aws.Bool(true),
		})
		if err != nil {
			return "", fmt.Errorf("secrets are left, %d or fewer: remove by hand what is under %s/", len(s.created)-i, s.prefix)
		}
	}
	return fmt.Sprintf("The %s that this run created are removed, with all that was in them.", plural(len(s.created), "secret")), nil
}
