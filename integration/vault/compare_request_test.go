package vault_test

import (
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
)

// A request is one that both sides get.
type request struct {
	method  string
	target  string // the path and the query, as they are sent
	body    string
	token   string   // its name, see compareTokens; what is no name is sent itself
	headers []string // "Name: value"; TOKEN is the root token
}

func (r request) String() string {
	text := r.method + " " + r.target
	for _, h := range r.headers {
		text += "\n  " + h
	}
	text += fmt.Sprintf("\n  as %q", r.token)
	if r.body != "" {
		body := r.body
		if len(body) > 2000 {
			body = fmt.Sprintf("%s... (%d bytes)", body[:2000], len(body))
		}
		text += "\n  " + body
	}
	return text
}

// A place is what a request is about.
type place struct {
	mount string // "kv", or "" if none
	area  string // "data", "metadata"; of version 1 "v1"; without a mount the path
	key   string // as KV version 2 reads it
	lists bool
}

func (r request) place() place {
	text, query, _ := strings.Cut(r.target, "?")
	text, err := url.PathUnescape(text)
	if err != nil {
		return place{area: "outside"}
	}
	text, api := strings.CutPrefix(text, "/v1/")
	if !api {
		return place{area: "outside"}
	}
	values, _ := url.ParseQuery(query)
	lists := r.method == "LIST" || r.method == "GET" && slices.Contains([]string{"true", "1", "T"}, values.Get("list"))
	for _, m := range compareMounts {
		rest, in := strings.CutPrefix(text+"/", m.path+"/")
		if !in {
			continue
		}
		p := place{mount: m.path, area: "v1", lists: lists}
		if m.version == 2 {
			p.area, rest, _ = strings.Cut(rest, "/")
		}
		if rest = strings.Trim(rest, "/"); rest != "" {
			p.key = strings.TrimPrefix(path.Clean(rest), "/")
		}
		return p
	}
	for _, area := range []string{"sys/internal/ui/mounts/", "sys/", "auth/"} {
		if strings.HasPrefix(text, area) {
			return place{area: strings.TrimSuffix(text, "/"), lists: lists}
		}
	}
	return place{area: "nothing", lists: lists}
}

var kvAreas = []string{"data", "metadata", "delete", "undelete", "destroy", "subkeys", "config"}

// kind is what a request is counted as, such as "PUT data".
func (r request) kind() string {
	p, method := r.place(), r.method
	switch {
	case p.lists:
		method = "LIST"
	case method == "POST":
		method = "PUT"
	}
	if strings.HasPrefix(p.area, "sys/internal/ui/mounts") {
		p.area = "sys/internal/ui/mounts"
	}
	if p.mount != "" && p.area != "v1" && !slices.Contains(kvAreas, p.area) {
		p.area = "nothing of KV"
	}
	return method + " " + p.area
}

// touches tells whether what a request is about may depend on what another did.
func (r request) touches(other request) bool {
	p, q := r.place(), other.place()
	switch {
	case p.mount != q.mount:
		return false
	case p.mount == "":
		return r.token == other.token // what a token may, and how long
	case p.area == "config" || q.area == "config" || p.key == q.key:
		return true
	}
	return p.lists && strings.HasPrefix(q.key, p.key)
}
