package gcpsmtest

import (
	"fmt"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
)

// Where the texts below come from:
//
//	[doc]  Google's documentation of the API or its quotas
//	[seen] answers of Secret Manager in users' reports
//	[like] answers of other services of Google's in users' reports
//	[inf]  inferred: the service refuses this, the code is likely, the text is ours
//
// Match on codes; on texts only where a code has two meanings.

func invalid(format string, args ...any) error {
	return status.Errorf(codes.InvalidArgument, format, args...)
}

func precondition(format string, args ...any) error {
	return status.Errorf(codes.FailedPrecondition, format, args...)
}

// The name is not of the right form, or not one that this endpoint serves: the
// global one answers so to regional names. [seen] from "does not match" on, whole
// for secrets and versions
func errFormat(asked string, kind int, format string) error {
	what := "Secret ID"
	if kind == scopeName {
		what = "Parent" // [inf]
	}
	return invalid("The provided %s [%s] does not match the expected format [%s]", what, asked, format)
}

// A regional endpoint serves its own location. [inf]
func errOtherLocation(asked, location string) error {
	return invalid("The location %s is not served by this endpoint, which serves %s.", asked, location)
}

// The secret does not exist. [seen]
func errNoSecret(r resource) error {
	return status.Errorf(codes.NotFound, "Secret [%s] not found.", r.name())
}

// There is no latest version, or no secret. [seen]
func errNoLatest(r resource) error {
	return status.Errorf(codes.NotFound, "Secret [%s] not found or has no versions.", r.name())
}

// The secret exists, the version does not. [seen] Also for a version of a secret
// that does not exist. [inf]
func errNoVersion(r resource) error {
	return status.Errorf(codes.NotFound, "Secret Version [%s/versions/%s] not found.", r.name(), r.version)
}

// The version is disabled or destroyed. [seen]
func errState(name, state string) error {
	return precondition("Secret Version [%s] is in %s state.", name, state)
}

// CreateSecret of an id that is taken. [seen]
func errExists(r resource) error {
	return status.Errorf(codes.AlreadyExists, "Secret [%s] already exists.", r.name())
}

// The etag is not that of the newest state. Code [doc], text [inf]
func errEtag(name, given, stored string) error {
	return precondition("The etag provided [%s] does not match the current etag [%s] of [%s].", given, stored, name)
}

// The caller's policy says no, or what it asks for may not exist. [seen]
func errDenied(permission, asked string) error {
	return detailed(codes.PermissionDenied,
		fmt.Sprintf("Permission '%s' denied for resource '%s' (or it may not exist).", permission, asked),
		&errdetails.ErrorInfo{
			Reason:   "IAM_PERMISSION_DENIED",
			Domain:   "iam.googleapis.com",
			Metadata: map[string]string{"permission": permission, "resource": asked},
		})
}

// A quota of the project is used up. [like] Cloud KMS
func errQuota(metric string, project string) error {
	return detailed(codes.ResourceExhausted,
		fmt.Sprintf("Quota exceeded for quota metric '%s' and limit '%s per minute' of service 'secretmanager.googleapis.com' for consumer 'project_number:%s'.", metric, metric, project),
		&errdetails.ErrorInfo{
			Reason:   "RATE_LIMIT_EXCEEDED",
			Domain:   "googleapis.com",
			Metadata: map[string]string{"service": "secretmanager.googleapis.com", "consumer": "projects/" + project},
		})
}

// Too many changes of one secret or version. [inf]
func errThrottledAt(name string) error {
	return status.Errorf(codes.ResourceExhausted, "Too many requests for [%s]. Try again later.", name)
}

// A quota without saying which. [like] other services
func errThrottled() error {
	return status.Error(codes.ResourceExhausted, "Resource has been exhausted (e.g. check quota).")
}

// The service's own failure. [like] other services
func errInternal() error { return status.Error(codes.Internal, "Internal error encountered.") }

func errNotServed(what string) error {
	return status.Errorf(codes.Unimplemented, "gcpsmtest does not serve %s.", what)
}

// detailed makes an error with details, as the front end of Google's services
// adds them.
func detailed(code codes.Code, message string, detail protoadapt.MessageV1) error {
	st := status.New(code, message)
	if with, err := st.WithDetails(detail); err == nil {
		st = with
	}
	return st.Err()
}

// Enable, disable and destroy take no alias. [inf]
func errNoNumber(r resource) error {
	return invalid("The version of [%s] must be a number.", r.asked)
}
