package vaultstoretest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/go-secure-stdlib/parseutil"
)

// kv1 is the KV secrets engine, version 1. Whatever is written to whatever path is
// kept there, so that a client that takes the mount for version 2 finds its writes
// accepted, and its cas ignored.
//
// vault-plugin-secrets-kv v0.25.0, passthrough.go
type kv1 struct{ m *mount }

func (b kv1) area() string { return b.m.id + "/v1" }

// checkRelative refuses two dots anywhere in a path.
//
// sdk/logical/storage_view.go, SanityCheck
func checkRelative(path string) error {
	if strings.Contains(path, "..") {
		return errRelativePath
	}
	return nil
}

// checkName refuses to store or delete what is named by bytes that are no text.
//
// sdk/physical/encoding.go
func checkName(path string) error {
	if err := checkRelative(path); err != nil {
		return err
	}
	if !utf8.ValidString(path) {
		return errors.New("key contains invalid UTF-8 characters")
	}
	return nil
}

func (b kv1) exists(r *request, path string) (checked, exists bool, err error) {
	if err := checkRelative(path); err != nil {
		return true, false, fmt.Errorf("existence check failed: %w", err)
	}
	return true, r.tx.get(b.area(), path) != nil, nil
}

func (b kv1) handle(r *request, path string) (*response, error) {
	switch r.op {
	case opRead:
		return b.read(r, path)
	case opCreate, opUpdate:
		return b.write(r, path)
	case opDelete:
		if err := checkName(path); err != nil {
			return nil, err
		}
		return nil, r.tx.put(b.area(), path, nil)
	case opList:
		if path != "" && !strings.HasSuffix(path, "/") {
			path += "/"
		}
		if err := checkRelative(path); err != nil {
			return nil, err
		}
		return listResponse(r.tx.list(b.area(), path)), nil
	}
	return nil, errUnsupportedOperation
}

func (b kv1) read(r *request, path string) (*response, error) {
	if err := checkRelative(path); err != nil {
		return nil, fmt.Errorf("read failed: %w", err)
	}
	text, _ := r.tx.get(b.area(), path).([]byte)
	if text == nil {
		return nil, nil
	}
	data, err := decodeBody(text)
	if err != nil {
		return nil, fmt.Errorf("json decoding failed: %w", err)
	}
	if _, raw := data["http_status_code"]; raw {
		// http/logical.go, respondRaw, takes the secret for something else.
		return &response{raw: &rawResponse{status: http.StatusInternalServerError, wrong: "raw responses cannot contain secrets or auth"}}, nil
	}
	resp := &response{data: data, lease: int(maxLeaseTTL.Seconds())}
	ttl, ok := data["ttl"]
	if !ok {
		ttl, ok = data["lease"]
	}
	if ok {
		if d, err := parseutil.ParseDurationSecond(ttl); err == nil {
			resp.lease = int(d.Seconds())
		}
	}
	return resp, nil
}

func (b kv1) write(r *request, path string) (*response, error) {
	switch {
	case path == "":
		return errorResponse("missing path"), nil
	case len(r.data) == 0:
		return errorResponse("missing data fields"), nil
	}
	text, err := json.Marshal(r.data)
	if err != nil {
		return nil, fmt.Errorf("json encoding failed: %w", err)
	}
	if err := checkName(path); err != nil {
		return nil, fmt.Errorf("failed to write: %w", err)
	}
	return nil, r.tx.put(b.area(), path, text)
}
