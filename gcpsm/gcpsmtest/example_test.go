package gcpsmtest_test

import (
	"context"
	"fmt"
	"time"

	secretmanager "cloud.google.com/go/secretmanager/apiv1"
	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"

	"github.com/tokenkeep/tokenkeep/gcpsm/gcpsmtest"
)

// dsn is the program under test: it reads where its database is.
func dsn(ctx context.Context, client *secretmanager.Client) (string, error) {
	const name = "projects/example/secrets/database/versions/latest"
	out, err := client.AccessSecretVersion(ctx, &pb.AccessSecretVersionRequest{Name: name})
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", name, err)
	}
	return string(out.GetPayload().GetData()), nil
}

// A test of a program that reads a secret: what it does on a good day, on a bad
// one, and how often it asks.
func Example() {
	ctx := context.Background() // in a test: t.Context()
	srv := gcpsmtest.NewServer()
	defer srv.Close() // in a test: t.Cleanup(srv.Close)
	client, err := srv.Client(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}

	if _, err := srv.SetValue("projects/example/secrets/database", "postgres://db.internal/app"); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(dsn(ctx, client))

	srv.Inject(gcpsmtest.Fault{Times: 2, Do: gcpsmtest.Throttle()})
	fmt.Println(dsn(ctx, client))
	fmt.Println(srv.CountCalls())

	srv.Purge("projects/example/secrets/database")
	_, err = dsn(ctx, client)
	fmt.Println(err != nil)

	// Output:
	// postgres://db.internal/app <nil>
	// postgres://db.internal/app <nil>
	// map[AccessSecretVersion:4]
	// true
}

// A clock of one's own makes hours pass: latest is as late as Google says that
// it may be.
func ExampleWithLag() {
	ctx := context.Background()
	clock := gcpsmtest.NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	srv := gcpsmtest.NewServer(gcpsmtest.WithClock(clock.Now), gcpsmtest.WithLag(2*time.Hour))
	defer srv.Close()
	client, err := srv.Client(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, value := range []string{"old", "new"} {
		if _, err := srv.SetValue("projects/example/secrets/database", value); err != nil {
			fmt.Println(err)
			return
		}
		clock.Advance(time.Hour)
	}

	fmt.Println(dsn(ctx, client))
	clock.Advance(time.Hour)
	fmt.Println(dsn(ctx, client))

	// Output:
	// old <nil>
	// new <nil>
}
