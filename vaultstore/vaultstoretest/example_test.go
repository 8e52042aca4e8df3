package vaultstoretest_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/vault/api"

	"github.com/tokenkeep/tokenkeep/vaultstore/vaultstoretest"
)

// A program that writes with check-and-set, and the answer to its write is lost.
// Whether it was applied, only the key can tell.
func Example() {
	srv := vaultstoretest.NewServer()
	defer srv.Close()
	client, err := srv.Client()
	if err != nil {
		fmt.Println(err)
		return
	}
	client.SetMaxRetries(0)
	kv := client.KVv2("secret")

	srv.Inject(vaultstoretest.Fault{
		Operations: []string{"PUT data"},
		Times:      1,
		Do:         vaultstoretest.LoseAnswer(),
	})
	ctx := context.Background()
	_, err = kv.Put(ctx, "app/token", map[string]any{"value": "abc"}, api.WithCheckAndSet(0))
	fmt.Println("failed:", err != nil)

	got, err := kv.Get(ctx, "app/token")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("version", got.VersionMetadata.Version, "is", got.Data["value"])
	fmt.Println(srv.CountCalls())
	// Output:
	// failed: true
	// version 1 is abc
	// map[GET data:1 PUT data:1]
}

// A program whose token may read and write below one path, and nothing else.
func ExampleServer_NewToken() {
	srv := vaultstoretest.NewServer()
	defer srv.Close()
	srv.SetPolicy("app", vaultstoretest.MustPolicy(`
path "secret/data/app/*" {
  capabilities = ["create", "update", "read"]
}`))
	client, err := srv.Client()
	if err != nil {
		fmt.Println(err)
		return
	}
	client.SetToken(srv.NewToken(vaultstoretest.Token{Policies: []string{"app"}}))

	_, err = client.KVv2("secret").Get(context.Background(), "other")
	if refused, ok := errors.AsType[*api.ResponseError](err); ok {
		fmt.Println(refused.StatusCode)
	}
	// Output:
	// 403
}
