package awssmtest_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"

	"github.com/tokenkeep/tokenkeep/awssm/awssmtest"
)

// putOnce puts without the SDK's retries.
func putOnce(ctx context.Context, client *secretsmanager.Client, name, token, value string) error {
	_, err := client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
		SecretId: &name, ClientRequestToken: &token, SecretString: &value,
	}, once)
	return err
}

func once(o *secretsmanager.Options) { o.Retryer = aws.NopRetryer{} }

func TestActions(t *testing.T) {
	for _, test := range []struct {
		name    string
		do      awssmtest.Action
		code    string // of the error; "lost" for one without a code
		text    string
		applied bool
		logged  string // Err of the call
	}{
		{name: "FailBefore answers the error and applies nothing", do: awssmtest.FailBefore(awssmtest.InternalServiceError()),
			code: "InternalServiceError", logged: "InternalServiceError"},
		{name: "FailBefore answers any error", do: awssmtest.FailBefore(awssmtest.Error{Code: "ExpiredTokenException", Message: "old"}),
			code: "ExpiredTokenException", text: "old", logged: "ExpiredTokenException"},
		{name: "FailAfter answers the error and applies", do: awssmtest.FailAfter(awssmtest.BadGateway()),
			code: "BadGateway", applied: true, logged: "BadGateway"},
		{name: "Throttle answers ThrottlingException and applies nothing", do: awssmtest.Throttle(),
			code: "ThrottlingException", text: "Rate exceeded", logged: "ThrottlingException"},
		{name: "LoseRequest cuts the connection and applies nothing", do: awssmtest.LoseRequest(), code: "lost", logged: awssmtest.NoAnswer},
		{name: "LoseAnswer cuts the connection and applies", do: awssmtest.LoseAnswer(), code: "lost", applied: true, logged: awssmtest.NoAnswer},
		{name: "Duplicate applies twice and answers the second", do: awssmtest.Duplicate(), applied: true},
		{name: "EchoBody shows the body in the message", do: awssmtest.EchoBody(awssmtest.Error{Code: "InvalidRequestException", Message: "cannot parse: "}),
			code: "InvalidRequestException", text: `"SecretString":"canary"`, logged: "InvalidRequestException"},
		{name: "no action lets the request pass", applied: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			srv, client := start(t)
			create(t, client, "n", token1, "old")
			srv.ResetCalls()
			injection := srv.Inject(awssmtest.Fault{Operations: []string{"PutSecretValue"}, Do: test.do})
			err := putOnce(t.Context(), client, "n", token2, "canary")
			switch test.code {
			case "":
				if err != nil {
					t.Error(err)
				}
			case "lost":
				if err == nil || !strings.Contains(err.Error(), "EOF") {
					t.Errorf("error = %v, want a cut connection", err)
				}
			default:
				wantError(t, err, test.code, test.text)
			}
			if value, _, _ := srv.Value("n"); (value == "canary") != test.applied {
				t.Errorf("stored %q, applied = %v", value, test.applied)
			}
			if n := injection.Fired(); n != 1 {
				t.Errorf("fired %d times", n)
			}
			want := []awssmtest.Call{{Operation: "PutSecretValue", SecretID: "n", Err: test.logged}}
			if diff := cmp.Diff(want, srv.Calls()); diff != "" {
				t.Error(diff)
			}
		})
	}

	t.Run("Duplicate answers what became of the second", func(t *testing.T) {
		srv, client := start(t)
		create(t, client, "n", token1, "v")
		srv.Inject(awssmtest.Fault{Operations: []string{"DeleteSecret"}, Do: awssmtest.Duplicate()})
		_, err := client.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String("n")})
		wantError(t, err, "InvalidRequestException", "marked for deletion")
	})
	t.Run("the SDK hides a lost answer from those who use tokens", func(t *testing.T) {
		srv, client := start(t)
		create(t, client, "n", token1, "v")
		srv.Inject(awssmtest.Fault{Operations: []string{"PutSecretValue"}, Times: 1, Do: awssmtest.LoseAnswer()})
		put(t, client, "n", token2, "w")
		if n := srv.CountCalls()["PutSecretValue"]; n != 2 {
			t.Errorf("%d calls", n)
		}
	})
	t.Run("Hold keeps the request until it is released, also when its client has left", func(t *testing.T) {
		srv, client := start(t)
		create(t, client, "n", token1, "v")
		release := make(chan struct{})
		held := srv.Inject(awssmtest.Fault{Operations: []string{"PutSecretValue"}, Do: awssmtest.Hold(release)})
		ctx, leave := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() { result <- putOnce(ctx, client, "n", token2, "late") }()
		if err := held.Await(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		leave()
		if err := <-result; !errors.Is(err, context.Canceled) {
			t.Errorf("error = %v", err)
		}
		if value, _, _ := srv.Value("n"); value != "v" {
			t.Errorf("applied before its release: %q", value)
		}
		close(release)
		held.Remove()
		for value := ""; value != "late"; value, _, _ = srv.Value("n") {
			runtime.Gosched() // it is applied some time after its release
		}
	})
	t.Run("HoldAnswer applies and keeps the answer until it is released", func(t *testing.T) {
		srv, client := start(t)
		create(t, client, "n", token1, "v")
		release := make(chan struct{})
		held := srv.Inject(awssmtest.Fault{Operations: []string{"PutSecretValue"}, Do: awssmtest.HoldAnswer(release)})
		result := make(chan error, 1)
		go func() { result <- putOnce(t.Context(), client, "n", token2, "w") }()
		if err := held.Await(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		for value := ""; value != "w"; value, _, _ = srv.Value("n") {
			runtime.Gosched()
		}
		select {
		case err := <-result:
			t.Errorf("answered before its release: %v", err)
		default:
		}
		close(release)
		if err := <-result; err != nil {
			t.Error(err)
		}
	})
	for name, do := range map[string]awssmtest.Action{"Hang": awssmtest.Hang(), "HangAfter": awssmtest.HangAfter()} {
		t.Run(name+" never answers until the client leaves", func(t *testing.T) {
			srv, client := start(t)
			create(t, client, "n", token1, "v")
			hung := srv.Inject(awssmtest.Fault{Operations: []string{"PutSecretValue"}, Do: do})
			ctx, leave := context.WithCancel(t.Context())
			result := make(chan error, 1)
			go func() { result <- putOnce(ctx, client, "n", token2, "w") }()
			if err := hung.Await(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			leave()
			if err := <-result; !errors.Is(err, context.Canceled) {
				t.Errorf("error = %v", err)
			}
			srv.Close() // waits for what is being served
			want := map[string]string{"Hang": "v", "HangAfter": "w"}[name]
			if value, _, _ := srv.Value("n"); value != want {
				t.Errorf("stored %q, want %q", value, want)
			}
		})
	}
	t.Run("Close lets everything go that is held or hangs", func(t *testing.T) {
		for name, do := range map[string]awssmtest.Action{
			"Hold": awssmtest.Hold(nil), "HoldAnswer": awssmtest.HoldAnswer(nil), "Hang": awssmtest.Hang(),
		} {
			srv, client := start(t)
			create(t, client, "n", token1, "v")
			held := srv.Inject(awssmtest.Fault{Operations: []string{"PutSecretValue"}, Do: do})
			result := make(chan error, 1)
			go func() { result <- putOnce(t.Context(), client, "n", token2, "w") }()
			if err := held.Await(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			srv.Close()
			if err := <-result; err == nil {
				t.Errorf("%s: the request succeeded", name)
			}
		}
	})
}

func TestFaultChoice(t *testing.T) {
	// failures puts n times to each of two secrets and tells which puts failed.
	failures := func(t *testing.T, f awssmtest.Fault, n int) []string {
		srv, client := start(t)
		arn := *create(t, client, "a", token1, "v").ARN
		create(t, client, "b", token1, "v")
		f.Do = awssmtest.FailBefore(awssmtest.Error{Code: "AnyException"})
		srv.Inject(f)
		failed := []string{}
		for i := range n {
			for _, id := range []string{arn, "b"} {
				if putOnce(t.Context(), client, id, fmt.Sprintf("%032d", i), "v") != nil {
					failed = append(failed, fmt.Sprint(id[len(id)-1:] == "b" && len(id) == 1, i))
				}
			}
		}
		return failed
	}
	a, b := func(i int) string { return fmt.Sprint(false, i) }, func(i int) string { return fmt.Sprint(true, i) }
	for _, test := range []struct {
		name  string
		fault awssmtest.Fault
		want  []string
	}{
		{"the zero fault hits everything", awssmtest.Fault{}, []string{a(0), b(0), a(1), b(1), a(2), b(2)}},
		{"operations choose", awssmtest.Fault{Operations: []string{"GetSecretValue"}}, []string{}},
		{"names choose, also where the client gave an ARN", awssmtest.Fault{Secret: func(name string) bool { return name == "a" }}, []string{a(0), a(1), a(2)}},
		{"the first ones can be skipped", awssmtest.Fault{Skip: 4}, []string{a(2), b(2)}},
		{"it ends after some times", awssmtest.Fault{Skip: 1, Times: 2}, []string{b(0), a(1)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, failures(t, test.fault, 3)); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("chance is seeded", func(t *testing.T) {
		one, again := failures(t, awssmtest.Fault{Chance: 0.3, Seed: 1}, 40), failures(t, awssmtest.Fault{Chance: 0.3, Seed: 1}, 40)
		if diff := cmp.Diff(one, again); diff != "" {
			t.Error(diff)
		}
		if len(one) < 10 || len(one) > 40 {
			t.Errorf("%d of 80 requests failed at a chance of 0.3", len(one))
		}
	})
	t.Run("a list names no secret", func(t *testing.T) {
		srv, client := start(t)
		srv.Inject(awssmtest.Fault{Secret: func(string) bool { return true }, Do: awssmtest.Throttle()})
		must(client.ListSecrets(t.Context(), &secretsmanager.ListSecretsInput{}))(t)
	})
	t.Run("a batch is hit for any of its secrets", func(t *testing.T) {
		srv, client := start(t)
		srv.Inject(awssmtest.Fault{Secret: func(name string) bool { return name == "b" }, Do: awssmtest.FailBefore(awssmtest.Error{Code: "AnyException"})})
		_, err := client.BatchGetSecretValue(t.Context(), &secretsmanager.BatchGetSecretValueInput{SecretIdList: []string{"a", "b"}})
		wantError(t, err, "AnyException", "")
	})
	t.Run("the first fault that fires is the only one", func(t *testing.T) {
		srv, client := start(t)
		first := srv.Inject(awssmtest.Fault{Times: 1, Do: awssmtest.FailBefore(awssmtest.Error{Code: "First"})})
		second := srv.Inject(awssmtest.Fault{Times: 1, Do: awssmtest.FailBefore(awssmtest.Error{Code: "Second"})})
		wantError(t, putOnce(t.Context(), client, "n", token1, "v"), "First", "")
		wantError(t, putOnce(t.Context(), client, "n", token1, "v"), "Second", "")
		wantError(t, putOnce(t.Context(), client, "n", token1, "v"), "ResourceNotFoundException", "")
		if first.Fired() != 1 || second.Fired() != 1 {
			t.Errorf("fired %d and %d times", first.Fired(), second.Fired())
		}
	})
	t.Run("a removed fault hits nothing", func(t *testing.T) {
		srv, client := start(t)
		fault := srv.Inject(awssmtest.Fault{Do: awssmtest.Hang()})
		fault.Remove()
		fault.Remove()
		create(t, client, "n", token1, "v")
	})
	t.Run("Await ends with its context", func(t *testing.T) {
		srv, _ := start(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := srv.Inject(awssmtest.Fault{}).Await(ctx, 1); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

func TestCalls(t *testing.T) {
	srv, client := start(t)
	arn := *create(t, client, "a", token1, "v").ARN
	get(t, client, arn)
	_, _ = client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("b")})
	must(client.BatchGetSecretValue(t.Context(), &secretsmanager.BatchGetSecretValueInput{SecretIdList: []string{"a", "b"}}))(t)
	must(client.ListSecrets(t.Context(), &secretsmanager.ListSecretsInput{}))(t)
	_, _ = post(t, srv, "GetSecretValue", "{}", header("Authorization", ""))

	t.Run("calls are those that reached the service, in order", func(t *testing.T) {
		want := []awssmtest.Call{
			{Operation: "CreateSecret", SecretID: "a"},
			{Operation: "GetSecretValue", SecretID: arn},
			{Operation: "GetSecretValue", SecretID: "b", Err: "ResourceNotFoundException"},
			{Operation: "BatchGetSecretValue", SecretID: "a b"},
			{Operation: "ListSecrets"},
		}
		if diff := cmp.Diff(want, srv.Calls()); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("they are counted by operation", func(t *testing.T) {
		want := map[string]int{"CreateSecret": 1, "GetSecretValue": 2, "BatchGetSecretValue": 1, "ListSecrets": 1}
		if diff := cmp.Diff(want, srv.CountCalls()); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("they can be forgotten", func(t *testing.T) {
		srv.ResetCalls()
		if calls := srv.Calls(); len(calls) != 0 {
			t.Error(calls)
		}
		get(t, client, "a")
		if n := srv.CountCalls()["GetSecretValue"]; n != 1 {
			t.Errorf("%d calls", n)
		}
	})
	t.Run("none is lost under load", func(t *testing.T) {
		srv.ResetCalls()
		var group sync.WaitGroup
		for range 16 {
			group.Go(func() {
				for range 50 {
					_, _ = client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("a")})
				}
			})
		}
		group.Wait()
		if n := srv.CountCalls()["GetSecretValue"]; n != 800 {
			t.Errorf("%d calls", n)
		}
	})
}
