package vaultstoretest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// An operation is what a request asks for. A write becomes a create or an update
// when it is known whether there is something.
type operation string

const (
	opRead   operation = "read"
	opUpdate operation = "update"
	opCreate operation = "create"
	opPatch  operation = "patch"
	opDelete operation = "delete"
	opList   operation = "list"
	opHead   operation = "header"
	opNone   operation = "" // OPTIONS
)

// writes tells whether the operation needs a path that does not end in a slash.
func (op operation) writes() bool { return op == opUpdate || op == opCreate || op == opPatch }

// maxBody is Vault's DefaultMaxRequestSize in bytes.
const maxBody = 32 << 20

// An inbound is a request as it came over the wire.
type inbound struct {
	*http.Request
	body  []byte
	large bool // the body is over the limit and cut
}

func receive(r *http.Request) *inbound {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	in := &inbound{Request: r, body: body, large: len(body) > maxBody}
	if err != nil {
		in.body = nil
	}
	return in
}

// path is the request's path below /v1/, with the slash that lists add.
func (in *inbound) path() string {
	path := strings.TrimPrefix(in.URL.Path, "/v1/")
	if in.lists() && !strings.HasSuffix(path, "/") {
		path += "/"
	}
	return path
}

// lists tells whether the request is a LIST or the GET that means one.
func (in *inbound) lists() bool {
	if in.Method == http.MethodGet {
		list, err := strconv.ParseBool(in.URL.Query().Get("list"))
		return err == nil && list
	}
	return in.Method == "LIST"
}

// A request is what remains of an inbound when it has been understood.
type request struct {
	id    string
	op    operation
	path  string         // below the namespace
	data  map[string]any // the body or the query
	token string
	entry *token // of the token, nil if there is none
	tx    *tx
	space *space
}

// A parseError has a status of its own; its text may be missing.
type parseError struct {
	status int
	error
}

var errMethod = &parseError{http.StatusMethodNotAllowed, nil}

// parse is buildLogicalRequest of http/logical.go.
func parse(in *inbound) (*request, *parseError) {
	r := &request{id: randomUUID(), path: in.path(), token: bearer(in.Header)}
	query := in.URL.Query()
	switch in.Method {
	case http.MethodDelete:
		r.op, r.data = opDelete, parameters(query)
	case http.MethodGet:
		r.op = opRead
		if text := query.Get("list"); text != "" {
			if _, err := strconv.ParseBool(text); err != nil {
				return nil, &parseError{http.StatusBadRequest, nil}
			}
		}
		if in.lists() {
			r.op = opList
			query.Del("list")
		}
		r.data = parameters(query)
	case "LIST":
		r.op, r.data = opList, parameters(query)
	case http.MethodHead:
		r.op, r.data = opHead, parameters(query)
	case http.MethodOptions:
		r.op = opNone
	case http.MethodPost, http.MethodPut:
		r.op = opUpdate
		if bad := r.readBody(in); bad != nil {
			return nil, bad
		}
	case http.MethodPatch:
		r.op = opPatch
		if bad := r.readPatch(in); bad != nil {
			return nil, bad
		}
	case "RECOVER":
		return nil, &parseError{http.StatusBadRequest, errors.New("missing required snapshot ID")}
	default:
		return nil, errMethod
	}
	return r, nil
}

func (r *request) readBody(in *inbound) *parseError {
	if isForm(in.body, in.Header.Get("Content-Type")) {
		form, err := url.ParseQuery(string(in.body))
		if err != nil {
			return &parseError{http.StatusBadRequest, errors.New("error parsing form data")}
		}
		if len(form) > 0 {
			r.data = map[string]any{}
			for name, values := range form {
				r.data[name] = strings.Join(values, ",")
			}
		}
		return nil
	}
	data, err := decodeBody(in.body)
	if err != nil {
		return &parseError{http.StatusBadRequest, fmt.Errorf("error parsing JSON: failed to parse JSON input: %w", err)}
	}
	r.data = data
	return nil
}

func (r *request) readPatch(in *inbound) *parseError {
	const mergePatch = "application/merge-patch+json"
	contentType, _, err := mime.ParseMediaType(in.Header.Get("Content-Type"))
	if err != nil {
		return &parseError{http.StatusBadRequest, err}
	}
	if contentType != mergePatch {
		return &parseError{http.StatusUnsupportedMediaType,
			fmt.Errorf("PATCH requires Content-Type of %s, provided %s", mergePatch, contentType)}
	}
	if r.data, err = decodeBody(in.body); err != nil {
		return &parseError{http.StatusBadRequest, errors.New("error parsing JSON")}
	}
	return nil
}

// decodeBody reads one JSON value that must be an object or null. Numbers stay as
// they are written.
func decodeBody(body []byte) (map[string]any, error) {
	var data map[string]any
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if err := decoder.Decode(&data); err != nil && err != io.EOF {
		return nil, err
	}
	return data, nil
}

// isForm tells whether a body is to be read as a form: it says so, and does not
// begin like JSON.
func isForm(body []byte, contentType string) bool {
	contentType, _, err := mime.ParseMediaType(contentType)
	if err != nil || contentType != "application/x-www-form-urlencoded" {
		return false
	}
	body = bytes.TrimLeft(body[:min(len(body), 512)], " \t\n\r")
	return len(body) == 0 || body[0] != '[' && body[0] != '{'
}

// parameters makes the data of a request without a body from its query.
func parameters(query url.Values) map[string]any {
	data := map[string]any{}
	for name, values := range query {
		switch {
		case name == "help" || len(values) == 0:
		case len(values) == 1:
			data[name] = values[0]
		default:
			data[name] = values
		}
	}
	if len(data) == 0 {
		return nil
	}
	return data
}

// bearer returns the token of a request.
func bearer(h http.Header) string {
	if token := h.Get("X-Vault-Token"); token != "" {
		return token
	}
	for _, value := range h["Authorization"] {
		if token, ok := strings.CutPrefix(value, "Bearer "); ok {
			return strings.TrimSpace(token)
		}
	}
	return ""
}
