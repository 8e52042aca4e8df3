package awssmtest_test

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/tokenkeep/tokenkeep/awssm/awssmtest"
)

// dsn is the program under test: it reads where its database is.
func dsn(ctx context.Context, client *secretsmanager.Client) (string, error) {
	name := "app/database"
	out, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &name})
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", name, err)
	}
	return *out.SecretString, nil
}

// A test of a program that reads a secret: what it does on a good day, on a bad
// one, and how often it asks.
func Example() {
	ctx := context.Background() // in a test: t.Context()
	srv := awssmtest.NewServer()
	defer srv.Close() // in a test: t.Cleanup(srv.Close)
	client, err := srv.Client(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}

	if _, err := srv.SetValue("app/database", "postgres://db.internal/app"); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(dsn(ctx, client))

	srv.Inject(awssmtest.Fault{Times: 2, Do: awssmtest.Throttle()})
	fmt.Println(dsn(ctx, client))
	fmt.Println(srv.CountCalls())

	srv.Purge("app/database")
	_, err = dsn(ctx, client)
	fmt.Println(err != nil)

	// Output:
	// postgres://db.internal/app <nil>
	// postgres://db.internal/app <nil>
	// map[GetSecretValue:4]
	// true
}

// A clock of one's own makes months pass.
func ExampleWithClock() {
	ctx := context.Background()
	clock := awssmtest.NewClock(noon)
	srv := awssmtest.NewServer(awssmtest.WithClock(clock.Now))
	defer srv.Close()
	client, err := srv.Client(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := srv.SetValue("old", "v"); err != nil {
		fmt.Println(err)
		return
	}
	name := "old"
	if _, err := client.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: &name}); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(srv.Names())
	clock.Advance(30 * 24 * time.Hour)
	fmt.Println(srv.Names())

	// Output:
	// [old]
	// []
}
