package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// A runtime is what github.com/aws/aws-lambda-go is for a function: it asks Lambda for events, and answers them.
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
type runtime struct{ url string }

// serve handles invocations, one after the other, until ctx ends.
func (r *runtime) serve(ctx context.Context, handle func(context.Context, []byte) ([]byte, error)) error {
	for {
		header, event, err := r.send(ctx, http.MethodGet, "next", nil) // while it waits, the process is frozen
		if err != nil {
			return err
		}
		what := "/response"
		answer, err := handle(ctx, event)
		if err != nil {
			what = "/error"
			if answer, err = json.Marshal(map[string]string{"errorType": "Function.Error", "errorMessage": err.Error()}); err != nil {
				return err
			}
		}
		if _, _, err := r.send(ctx, http.MethodPost, header.Get("Lambda-Runtime-Aws-Request-Id")+what, answer); err != nil {
			return err
		}
	}
}

func (r *runtime) send(ctx context.Context, method, path string, body []byte) (http.Header, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, r.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return nil, nil, fmt.Errorf("the runtime API: %s", resp.Status)
	}
	data, err := io.ReadAll(resp.Body)
	return resp.Header, data, err
}
