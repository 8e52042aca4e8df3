package awssmtest

import (
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// A calmClient keeps the SDK from cutting connections. The SDK closes the body of a
// request when the answer begins; if net/http has not yet looked for the body's end,
// it hears of an error then, cuts the connection with the answer on it, and the SDK
// sends the request again. That takes an answer within microseconds, as a double
// gives it, and spoils a count of requests. Without the body's WriteTo net/http
// finds its end.
//
// https://github.com/aws/aws-sdk-go-v2/issues/2737
type calmClient struct{ next secretsmanager.HTTPClient }

func (c calmClient) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	return c.next.Do(r)
}
