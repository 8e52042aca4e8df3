package vaultstoretest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
)

// A response is what a path answers, before it is known how that goes over the
// wire. A nil response is "nothing": 204, or 404 for reads.
type response struct {
	data      map[string]any
	warnings  []string
	auth      *httpAuth
	lease     int // seconds; of KV version 1
	mountType string
	raw       *rawResponse // answered as it is
}

// A rawResponse has a status of its own.
type rawResponse struct {
	status int
	body   []byte // nil: none
	wrong  string // what prevented a body
}

func (r *response) warn(text string) { r.warnings = append(r.warnings, text) }

// errorResponse is a response that says what is wrong.
func errorResponse(text string) *response { return &response{data: map[string]any{"error": text}} }

// isError tells whether a response says what is wrong. A secret of KV version 1 that
// has one member named "error" does as well: that is Vault's rule.
//
// sdk/logical/response.go, IsError
func (r *response) isError() bool {
	return r != nil && r.data["error"] != nil &&
		(len(r.data) == 1 || r.data["data"] != nil && len(r.data) == 2)
}

// httpResponse is the body of an answer.
//
// sdk/logical/translate_response.go, HTTPResponse
type httpResponse struct {
	RequestID     string         `json:"request_id"`
	LeaseID       string         `json:"lease_id"`
	Renewable     bool           `json:"renewable"`
	LeaseDuration int            `json:"lease_duration"`
	Data          map[string]any `json:"data"`
	WrapInfo      *struct{}      `json:"wrap_info"`
	Warnings      []string       `json:"warnings"`
	Auth          *httpAuth      `json:"auth"`
	MountType     string         `json:"mount_type"`
}

// httpAuth is what a login or a renewal answers.
type httpAuth struct {
	ClientToken    string            `json:"client_token"`
	Accessor       string            `json:"accessor"`
	Policies       []string          `json:"policies"`
	TokenPolicies  []string          `json:"token_policies,omitempty"`
	Metadata       map[string]string `json:"metadata"`
	LeaseDuration  int               `json:"lease_duration"`
	Renewable      bool              `json:"renewable"`
	EntityID       string            `json:"entity_id"`
	TokenType      string            `json:"token_type"`
	Orphan         bool              `json:"orphan"`
	MFARequirement *struct{}         `json:"mfa_requirement"`
	NumUses        int               `json:"num_uses"`
}

func (r *response) wire(id string) *httpResponse {
	return &httpResponse{RequestID: id, LeaseDuration: r.lease, Data: r.data, Warnings: r.warnings, Auth: r.auth, MountType: r.mountType}
}

// withStatus makes a response that is answered with a status of its own.
//
// sdk/logical/response.go, RespondWithStatusCode
func withStatus(r *response, id string, status int) (*response, error) {
	if r == nil {
		return &response{raw: &rawResponse{status: status}}, nil
	}
	body, err := json.Marshal(r.wire(id))
	if err != nil {
		return nil, err
	}
	return &response{raw: &rawResponse{status: status, body: body}}, nil
}

// An answer is what the client will see, or nothing.
type answer struct {
	status int
	header http.Header
	body   []byte
	lost   bool
}

func (a answer) write(w http.ResponseWriter) {
	maps.Copy(w.Header(), a.header)
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body)
}

// errorAnswer is an answer made by an action or by the front of the server.
func errorAnswer(status int, texts ...string) answer {
	if texts == nil {
		texts = []string{}
	}
	body := encode(map[string][]string{"errors": texts})
	return answer{status: status, header: http.Header{"Content-Type": {"application/json"}, "Cache-Control": {"no-store"}}, body: body}
}

// firstError returns the text of the first error in an answer.
func (a answer) firstError() string {
	if a.lost {
		return NoAnswer
	}
	if a.status < 400 {
		return ""
	}
	var body struct{ Errors []string }
	if json.Unmarshal(a.body, &body) == nil && len(body.Errors) > 0 {
		return body.Errors[0]
	}
	return ""
}

func encode(v any) []byte {
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(v); err != nil {
		panic("vaultstoretest: " + err.Error())
	}
	return b.Bytes()
}

// A recorder is the ResponseWriter that an answer is written to first.
type recorder struct{ answer }

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}

func (r *recorder) Write(b []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	r.body = append(r.body, b...)
	return len(b), nil
}

func respondError(w http.ResponseWriter, status int, err error) {
	respondErrorData(w, status, err, nil)
}

func respondErrorData(w http.ResponseWriter, status int, err error, data any) {
	switch {
	case errors.Is(err, errOverloaded), errors.Is(err, errSealed):
		status = http.StatusServiceUnavailable
	case errors.Is(err, errTooLarge):
		status = http.StatusRequestEntityTooLarge
	}
	texts := []string{}
	if err != nil {
		texts = append(texts, err.Error())
	}
	body := map[string]any{"errors": texts}
	if data != nil {
		body["data"] = data
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(encode(body))
}

func respondOK(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	if body == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(encode(body))
}

// injected is a body whose data stands at the top as well, for paths below sys/
// that are older than the data member.
func injected(r *httpResponse) map[string]any {
	body := map[string]any{}
	maps.Copy(body, r.Data)
	var rest map[string]any
	_ = json.Unmarshal(encode(r), &rest)
	maps.Copy(body, rest)
	return body
}

// list makes the response to a list. Without keys it is 404, unless there are
// warnings.
func listResponse(keys []string) *response {
	data := map[string]any{}
	if len(keys) > 0 {
		data["keys"] = keys
	}
	return &response{data: data}
}

// listedErrors prints errors as github.com/hashicorp/go-multierror does.
type listedErrors []error

func (l listedErrors) Error() string {
	lines := make([]string, len(l))
	for i, err := range l {
		lines[i] = "* " + err.Error()
	}
	noun := "errors"
	if len(l) == 1 {
		noun = "error"
	}
	return fmt.Sprintf("%d %s occurred:\n\t%s\n\n", len(l), noun, strings.Join(lines, "\n\t"))
}

// Unwrap lets errors.Is look inside.
func (l listedErrors) Unwrap() []error { return l }

// listed makes a list of err; lists stay as they are.
func listed(err error) error {
	if list, ok := errors.AsType[listedErrors](err); ok {
		return list
	}
	return listedErrors{err}
}
