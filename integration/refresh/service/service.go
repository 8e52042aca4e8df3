// Package service makes stores of the doubles of secret managers, for workers and for the test.
package service

import (
	"fmt"
	"net/http"

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

const prefix = "prod/oauth"

// Open makes a store of a service at a URL. The requests go through a transport; key is Vault's.
func Open(service, url, key string, through http.RoundTripper) (*token.Store, error) {
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
