// Package service makes stores of the doubles of secret managers, for workers and for the test.
package service

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/hashicorp/vault/api"

	"github.com/tokenkeep/tokenkeep/awssm"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/vaultstore"
)

// The services.
const (
	AWS   = "aws"
	Vault = "vault"
)

// Stores makes stores of a service at a URL, and says which is that of a user: four share one, so that its index is written
// by several, and not by more than it has the time for on a busy machine. The requests go through a transport; key is Vault's.
func Stores(service, url, key string, users []string, through http.RoundTripper) (map[string]*token.Store, error) {
	stores := map[string]*token.Store{}
	for four := range slices.Chunk(users, 4) {
		store, err := open(service, url, key, "prod/"+four[0], through)
		if err != nil {
			return nil, err
		}
		for _, user := range four {
			stores[user] = store
		}
	}
	return stores, nil
}

func open(service, url, key, prefix string, through http.RoundTripper) (*token.Store, error) {
	switch service {
	case AWS:
		return awssm.New(secretsmanager.New(secretsmanager.Options{
			Region:       "us-east-1",
			BaseEndpoint: aws.String(url),
			HTTPClient:   &http.Client{Transport: through},
			Credentials:  credentials.NewStaticCredentialsProvider("AKIDWORKER", "worker", ""),
		}), prefix, nil)
	case Vault:
		config := api.DefaultConfig()
		if config.Error != nil {
			return nil, config.Error
		}
		config.Address, config.AgentAddress, config.MaxRetries = url, "", 0
		config.HttpClient.Transport = through
		client, err := api.NewClient(config)
		if err != nil {
			return nil, err
		}
		client.SetToken(key)
		return vaultstore.New(client, "secret", prefix, nil)
	}
	return nil, fmt.Errorf("%q is no service", service)
}
