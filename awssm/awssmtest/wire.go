package awssmtest

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	contentType  = "application/x-amz-json-1.1"
	targetPrefix = "secretsmanager."
	maxBody      = 1 << 20 // bytes; a value of 64 KiB is far below it in any escaping
	dateFormat   = "20060102T150405Z"
)

// A request is one call of the API, as read from the wire.
type request struct {
	operation string
	in        *input
	body      []byte
}

// secretID returns the ids in the request, joined by spaces.
func (r *request) secretID() string { return strings.Join(r.ids(), " ") }

func (r *request) ids() []string {
	switch {
	case r.operation == "CreateSecret" && r.in.Name != nil:
		return []string{*r.in.Name}
	case r.operation == "BatchGetSecretValue":
		return r.in.SecretIDList
	case r.operation != "CreateSecret" && r.in.SecretID != nil:
		return []string{*r.in.SecretID}
	}
	return nil
}

// names returns the names of the secrets in the request, also where ids are ARNs.
func (r *request) names() []string {
	ids := r.ids()
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = nameOf(id)
	}
	return names
}

// readRequest checks everything about a request but its meaning.
func (s *Server) readRequest(r *http.Request) (*request, *Error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return nil, errSerialization()
	}
	if len(body) > maxBody {
		return nil, &Error{http.StatusRequestEntityTooLarge, "RequestEntityTooLargeException", "Request size exceeded 1048576 bytes"}
	}
	target, found := strings.CutPrefix(r.Header.Get("X-Amz-Target"), targetPrefix)
	if !found || r.Method != http.MethodPost || r.URL.Path != "/" || r.Header.Get("Content-Type") != contentType {
		return nil, &Error{http.StatusNotFound, "UnknownOperationException", ""}
	}
	if e := s.checkSignature(r); e != nil {
		return nil, e
	}
	in, e := readInput(body)
	if e != nil {
		return nil, e
	}
	return &request{operation: target, in: in, body: body}, nil
}

var authorization = regexp.MustCompile(
	`^AWS4-HMAC-SHA256 Credential=[^/, ]+/(\d{8})/([^/, ]+)/([^/, ]+)/([^/, ]+), ?SignedHeaders=([a-z0-9;-]+), ?Signature=[0-9a-f]{64}$`)

// checkSignature looks at the shape and the scope of the signature. The keys
// behind it are not known here, so the signature itself is not verified.
func (s *Server) checkSignature(r *http.Request) *Error {
	header := r.Header.Get("Authorization")
	if header == "" {
		return &Error{http.StatusBadRequest, "MissingAuthenticationTokenException", "Missing Authentication Token"}
	}
	parts := authorization.FindStringSubmatch(header)
	signed := r.Header.Get("X-Amz-Date")
	date, err := time.Parse(dateFormat, signed)
	if parts == nil || err != nil {
		return &Error{http.StatusBadRequest, "IncompleteSignatureException",
			"Authorization header requires 'Credential', 'Signature' and 'SignedHeaders' parameters, and existence of an 'X-Amz-Date' header."}
	}
	day, region, service, terminator := parts[1], parts[2], parts[3], parts[4]
	scope := func(message string) *Error {
		return &Error{http.StatusBadRequest, "InvalidSignatureException", "Credential should be scoped " + message}
	}
	switch {
	case region != s.region:
		return scope("to a valid region, not '" + region + "'.")
	case service != "secretsmanager":
		return scope("to correct service: 'secretsmanager'.")
	case terminator != "aws4_request":
		return scope("with a valid terminator: 'aws4_request', not '" + terminator + "'.")
	case day != signed[:8]:
		return &Error{http.StatusBadRequest, "InvalidSignatureException",
			"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '" + day + "' != '" + signed[:8] + "'."}
	}
	// "In most cases, a request must reach AWS within five minutes of the time
	// stamp in the request."
	const tolerance = 5 * time.Minute
	if now := time.Now(); s.checkDate && (date.Before(now.Add(-tolerance)) || date.After(now.Add(tolerance))) {
		return &Error{http.StatusBadRequest, "InvalidSignatureException",
			"Signature expired or not yet current: " + signed + " is more than five minutes from " + now.UTC().Format(dateFormat) + "."}
	}
	return nil
}

// An input holds the members of all requests. An operation reads its own and
// ignores the rest, as the service ignores members that it does not know.
type input struct {
	Name, SecretID                            *string
	ClientRequestToken                        *string
	Description, KmsKeyID                     *string
	SecretString                              *string
	SecretBinary                              []byte
	VersionID, VersionStage                   *string
	VersionStages                             []string
	MoveToVersionID, RemoveFromVersionID      *string
	SecretIDList                              []string
	Filters                                   []filter
	MaxResults                                *int
	NextToken, SortBy, SortOrder              *string
	IncludeDeprecated, IncludePlannedDeletion *bool
	ForceDeleteWithoutRecovery                *bool
	RecoveryWindowInDays                      *int64
	Tags                                      []tag
	TagKeys                                   []string
	AddReplicaRegions                         []json.RawMessage
}

// member returns where to put a member of the request. The wire is
// case-sensitive, encoding/json is not: hence no struct tags.
func (in *input) member(name string) any {
	switch name {
	case "Name":
		return &in.Name
	case "SecretId":
		return &in.SecretID
	case "ClientRequestToken":
		return &in.ClientRequestToken
	case "Description":
		return &in.Description
	case "KmsKeyId":
		return &in.KmsKeyID
	case "SecretString":
		return &in.SecretString
	case "SecretBinary":
		return &in.SecretBinary
	case "VersionId":
		return &in.VersionID
	case "VersionStage":
		return &in.VersionStage
	case "VersionStages":
		return &in.VersionStages
	case "MoveToVersionId":
		return &in.MoveToVersionID
	case "RemoveFromVersionId":
		return &in.RemoveFromVersionID
	case "SecretIdList":
		return &in.SecretIDList
	case "Filters":
		return &in.Filters
	case "MaxResults":
		return &in.MaxResults
	case "NextToken":
		return &in.NextToken
	case "SortBy":
		return &in.SortBy
	case "SortOrder":
		return &in.SortOrder
	case "IncludeDeprecated":
		return &in.IncludeDeprecated
	case "IncludePlannedDeletion":
		return &in.IncludePlannedDeletion
	case "ForceDeleteWithoutRecovery":
		return &in.ForceDeleteWithoutRecovery
	case "RecoveryWindowInDays":
		return &in.RecoveryWindowInDays
	case "Tags":
		return &in.Tags
	case "TagKeys":
		return &in.TagKeys
	case "AddReplicaRegions":
		return &in.AddReplicaRegions
	}
	return nil
}

func readInput(body []byte) (*input, *Error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil || members == nil {
		return nil, errSerialization()
	}
	in := &input{}
	for name, value := range members {
		if to := in.member(name); to != nil && json.Unmarshal(value, to) != nil {
			return nil, errSerialization()
		}
	}
	return in, nil
}

func writeOutput(w http.ResponseWriter, out any) {
	body, err := json.Marshal(out)
	if err != nil {
		panic("awssmtest: " + err.Error())
	}
	writeBody(w, http.StatusOK, body)
}

// writeError writes an error as the service does: exceptions of its own API
// spell the member Message, those of the front end message.
func writeError(w http.ResponseWriter, e *Error) {
	spelling := "message"
	if modelled[e.Code] {
		spelling = "Message"
	}
	members := map[string]string{"__type": e.Code}
	if e.Message != "" {
		members[spelling] = e.Message
	}
	body, _ := json.Marshal(members)
	status := e.Status
	if status == 0 {
		status = http.StatusBadRequest
	}
	w.Header().Set("X-Amzn-Errortype", e.Code)
	writeBody(w, status, body)
}

func writeBody(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("X-Amzn-Requestid", randomUUID())
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// An epoch is a date on the wire: seconds since 1970 with milliseconds.
type epoch struct{ time.Time }

// MarshalJSON writes the seconds as a number.
func (e epoch) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(e.UnixMilli())/1000, 'f', -1, 64), nil
}
