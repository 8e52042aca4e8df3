package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/hashicorp/vault/api"

	"github.com/tokenkeep/tokenkeep/vaultstore/vaultstoretest"
)

// vaultClient makes the client of an endpoint, or without one the client that the
// environment describes.
func vaultClient(endpoint string) (*api.Client, *api.Config, error) {
	config, err := vaultConfig(endpoint)
	if err != nil {
		return nil, nil, err
	}
	client, err := api.NewClient(config)
	if err != nil {
		return nil, nil, fmt.Errorf("the client of Vault: %w", err)
	}
	if endpoint != "" {
		client.SetHeaders(http.Header{api.RequestHeaderName: {"true"}}) // a namespace is a header, too
		client.SetToken(vaultstoretest.RootToken)
	}
	switch token := client.Token(); {
	case token == "" && config.AgentAddress == "": // an agent may have one
		return nil, nil, errors.New(`VAULT_ADDR is set, and VAULT_TOKEN is not: "vault print token" prints that of your last login`)
	case strings.ContainsFunc(token, func(r rune) bool { return !unicode.IsPrint(r) }):
		return nil, nil, errors.New("VAULT_TOKEN has a character that cannot be printed, such as the end of a line")
	}
	client.SetMaxRetries(0) // the store repeats what failed, and knows more of it
	// VAULT_WRAP_TTL is for the command line: a wrapped answer does not say what was asked for.
	client.SetWrappingLookupFunc(func(_, _ string) string { return "" })
	return client, config, nil
}

// vaultConfig makes the configuration of the client. No error repeats an address: it may
// have a password in it.
func vaultConfig(endpoint string) (*api.Config, error) {
	config := api.DefaultConfig() // VAULT_ADDR, VAULT_CACERT and so on
	var notURL *url.Error
	switch {
	case errors.As(config.Error, &notURL):
		return nil, errors.New("VAULT_PROXY_ADDR or VAULT_HTTP_PROXY is not a URL")
	case config.Error != nil:
		return nil, fmt.Errorf("the environment of Vault's client: %w", config.Error)
	case endpoint != "":
		// What the environment has for another Vault does not go there.
		return &api.Config{Address: endpoint, HttpClient: &http.Client{
			Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: workers},
			CheckRedirect: config.HttpClient.CheckRedirect,
		}}, nil
	case !isAddress(config.Address, "http", "https", "unix"):
		return nil, errors.New("VAULT_ADDR is not a URL like https://vault.example.com:8200")
	case config.AgentAddress != "" && !isAddress(config.AgentAddress, "http", "https", "unix"):
		return nil, errors.New("VAULT_AGENT_ADDR is not a URL like http://localhost:8100")
	}
	return config, nil
}

// isAddress reports whether a text is a URL of one of the schemes that says where a
// service is and nothing else.
func isAddress(text string, schemes ...string) bool {
	u, err := url.Parse(text)
	return err == nil && slices.Contains(schemes, u.Scheme) && (u.Host != "" || u.Scheme == "unix") &&
		u.User == nil && u.RawQuery == "" && u.Fragment == ""
}
