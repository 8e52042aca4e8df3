// Command lambda is an AWS Lambda function that calls an API for a user: the event {"user": "ana@example.com"}
// is answered with what the API says to that user. Any number of its instances may run at once.
//
//	GOOS=linux GOARCH=arm64 CGO_ENABLED=0 go build -o examples/lambda/build/bootstrap ./examples/lambda
//	sam deploy --guided --template examples/lambda/template.yaml
//
// It needs no secret of its own: the client's stands in the records, with the tokens.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"golang.org/x/oauth2"

	"github.com/tokenkeep/tokenkeep/awssm"
	"github.com/tokenkeep/tokenkeep/tokensource"
)

// needed are the environment variables of the function. Lambda sets one more.
var needed = []string{"TOKENS_PREFIX", "OAUTH_CLIENT_ID", "OAUTH_TOKEN_URL", "API_URL"}

func main() {
	fmt.Fprintln(os.Stderr, "lambda:", run(context.Background()))
	os.Exit(1)
}

// run handles invocations until Lambda ends the process, or something is wrong.
func run(ctx context.Context) error {
	var missing []string
	for _, name := range append(needed, "AWS_LAMBDA_RUNTIME_API") {
		if os.Getenv(name) == "" {
			missing = append(missing, name)
		}
	}
	if missing != nil {
		return errors.New("missing in the environment: " + strings.Join(missing, ", "))
	}
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	store, err := awssm.New(secretsmanager.NewFromConfig(cfg), os.Getenv("TOKENS_PREFIX"), nil)
	if err != nil {
		return err
	}
	f := &function{
		store:   store,
		conf:    &oauth2.Config{ClientID: os.Getenv("OAUTH_CLIENT_ID"), Endpoint: oauth2.Endpoint{TokenURL: os.Getenv("OAUTH_TOKEN_URL")}},
		api:     os.Getenv("API_URL"),
		sources: map[string]*tokensource.Source{},
	}
	r := &runtime{url: "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/"}
	return r.serve(ctx, f.handle)
}
