package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	secretmanager "cloud.google.com/go/secretmanager/apiv1"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/hashicorp/vault/api"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"github.com/tokenkeep/tokenkeep/awssm"
	"github.com/tokenkeep/tokenkeep/gcpsm"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/vaultstore"
)

const prefix = "prod/oauth"

// open makes a store of the service.
func open(ctx context.Context, c config) (*token.Store, error) {
	switch c.service {
	case "aws":
		return openAWS(c)
	case "gcp":
		return openGCP(ctx, c)
	case "vault":
		return openVault(c)
	}
	return nil, fmt.Errorf("WORKER_SERVICE %q is no service", c.service)
}

func (c config) options() token.Options { return token.Options{Remember: c.remember} }

func openAWS(c config) (*token.Store, error) {
	client := secretsmanager.New(secretsmanager.Options{
		Region:       "us-east-1",
		BaseEndpoint: aws.String("http://" + c.servers),
		HTTPClient:   &http.Client{Transport: transport(c.servers)},
		Credentials:  credentials.NewStaticCredentialsProvider("AKIDWORKER", "worker", ""),
	})
	return awssm.New(client, prefix, &awssm.Options{Store: c.options()})
}

// openGCP asks a connection that is silent whether it lives: one that a network has lost would
// be used until the kernel gives it up. The store is a regional one, and is not kept under
// Google's quotas, which the double does not enforce either.
func openGCP(ctx context.Context, c config) (*token.Store, error) {
	client, err := secretmanager.NewClient(ctx,
		option.WithEndpoint("passthrough:///"+c.servers),
		option.WithoutAuthentication(),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())),
		option.WithGRPCDialOption(grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 2 * time.Second})),
	)
	if err != nil {
		return nil, err
	}
	return gcpsm.New(client, "projects/tokenkeep/locations/europe-west3", prefix, &gcpsm.Options{Store: c.options(), Pace: gcpsm.Pace{ProjectWrites: -1}})
}

func openVault(c config) (*token.Store, error) {
	config := api.DefaultConfig()
	if config.Error != nil {
		return nil, config.Error
	}
	first, _, _ := strings.Cut(c.servers, " ")
	config.Address, config.AgentAddress, config.MaxRetries = "http://"+first, "", 0
	config.HttpClient.Transport = transport(c.servers)
	client, err := api.NewClient(config)
	if err != nil {
		return nil, err
	}
	client.SetToken(c.token)
	return vaultstore.New(client, "secret", prefix, &vaultstore.Options{Store: c.options()})
}

// transport connects to one server after the other, as by a name with several addresses.
func transport(servers string) *http.Transport {
	list := strings.Fields(servers)
	var next atomic.Uint32
	dialer := net.Dialer{Timeout: time.Second}
	return &http.Transport{
		MaxIdleConnsPerHost:   8,
		IdleConnTimeout:       10 * time.Second,
		ResponseHeaderTimeout: 10 * time.Second,
		DialContext: func(ctx context.Context, network, _ string) (conn net.Conn, err error) {
			for range list {
				at := next.Add(1) % uint32(len(list)) //nolint:gosec // few
				if conn, err = dialer.DialContext(ctx, network, list[at]); err == nil {
					return conn, nil
				}
			}
			return nil, err
		},
	}
}
