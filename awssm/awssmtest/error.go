package awssmtest

import (
	"fmt"
	"net/http"
)

// An Error is what the service answers instead of output. A [Fault] can answer
// any.
type Error struct {
	Status  int    // HTTP status; 0 is 400
	Code    string // "ThrottlingException"
	Message string
}

// Error returns code and message.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// InternalServiceError is the service's own failure, HTTP 500. Clients retry it.
func InternalServiceError() Error {
	return Error{http.StatusInternalServerError, "InternalServiceError", "An error occurred on the server side."}
}

// BadGateway is the failure of a proxy in between, HTTP 502 and no error code
// that the API knows. Clients retry it.
func BadGateway() Error {
	return Error{http.StatusBadGateway, "BadGateway", "Bad Gateway"}
}

// Where the texts below come from:
//
//	[doc]  AWS's documentation of the API or its quotas
//	[seen] answers of AWS recorded by LocalStack's snapshots, by moto's tests
//	       that run against AWS, or in users' reports
//	[emu]  moto or floci, which may have it from AWS
//	[inf]  inferred: AWS refuses this, the code is likely, the text is ours
//
// Match on codes; on texts only where a code has two meanings.

// modelled are the errors that the API declares.
var modelled = map[string]bool{
	"DecryptionFailure":         true,
	"EncryptionFailure":         true,
	"InternalServiceError":      true,
	"InvalidNextTokenException": true,
	"InvalidParameterException": true,
	"InvalidRequestException":   true,
	"LimitExceededException":    true,
	"ResourceExistsException":   true,
	"ResourceNotFoundException": true,
	"AccessDeniedException":     true, // not declared, but spelled like those
}

func failure(code, format string, args ...any) *Error {
	return &Error{http.StatusBadRequest, code, fmt.Sprintf(format, args...)}
}

func invalidParameter(format string, args ...any) *Error {
	return failure("InvalidParameterException", format, args...)
}

func invalidRequest(format string, args ...any) *Error {
	return failure("InvalidRequestException", format, args...)
}

// errConstraint is the front end's answer to a member outside the model's
// bounds. [seen] Values of sensitive members are left out.
func errConstraint(value, member, constraint string, args ...any) *Error {
	if value != "" {
		value = " '" + value + "'"
	}
	return failure("ValidationException", "1 validation error detected: Value%s at '%s' failed to satisfy constraint: Member must %s",
		value, member, fmt.Sprintf(constraint, args...))
}

// A required member is missing. [seen]
func errRequired(member string) *Error {
	return failure("ValidationException", "1 validation error detected: Value null at '%s' failed to satisfy constraint: Member must not be null", member)
}

// A name, or a SecretId that is no ARN, has characters that names cannot have. [seen]
func errName() *Error {
	return failure("ValidationException", "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!")
}

// The body is no JSON object or a member has the wrong type.
func errSerialization() *Error { return failure("SerializationException", "") }

func errNotServed(operation string) *Error {
	return failure("UnknownOperationException", "awssmtest does not serve %s", operation)
}

// ThrottlingException is HTTP 400. [seen]
func errThrottled() *Error { return failure("ThrottlingException", "Rate exceeded") }

// The secret does not exist. HTTP 400, not 404. [seen]
func errNoSecret() *Error {
	return failure("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
}

// The secret exists, the version does not. [seen]
func errNoVersion(id string) *Error {
	return failure("ResourceNotFoundException", "Secrets Manager can't find the specified secret value for VersionId: %s", id)
}

// The secret exists, no version has the label; also for a secret without a value. [seen]
func errNoStage(label string) *Error {
	return failure("ResourceNotFoundException", "Secrets Manager can't find the specified secret value for staging label: %s", label)
}

// VersionId and VersionStage name two versions. [seen]
func errStageOfOther() *Error {
	return invalidRequest("You provided a VersionStage that is not associated to the provided VersionId.")
}

// CreateSecret of a name that is taken. [seen]
func errNameTaken(name string) *Error {
	return failure("ResourceExistsException", "The operation failed because the secret %s already exists.", name)
}

// A token that is the id of a version with other content. [seen]
func errTokenTaken(token, arn string) *Error {
	return failure("ResourceExistsException", "You can't use ClientRequestToken %s because that value is already in use for a version of secret %s.", token, arn)
}

// A raw request without the token that the SDKs fill in. [seen]
func errNoToken() *Error {
	return invalidRequest("You must provide a ClientRequestToken value. We recommend a UUID-type value.")
}

// A token of another length. [emu]
func errTokenLength() *Error {
	return invalidParameter("ClientRequestToken must be 32-64 characters long.")
}

// Two values at once. [seen]
func errTwoValues() *Error {
	return invalidParameter("You can't specify both a binary secret value and a string secret value in the same secret.")
}

// PutSecretValue without a value. [emu]
func errNoValue() *Error {
	return invalidRequest("You must provide either SecretString or SecretBinary.")
}

// Values, labels and tags of a secret that is scheduled for deletion can be
// neither read nor changed. [seen]
func errScheduled() *Error {
	return invalidRequest("You can't perform this operation on the secret because it was marked for deletion.")
}

// CreateSecret of a name that is scheduled for deletion: not ResourceExistsException. [seen]
func errNameScheduled() *Error {
	return invalidRequest("You can't create this secret because a secret with this name is already scheduled for deletion.")
}

// 100 versions, none of which may be removed yet. Code [seen], text [emu]
func errVersionQuota() *Error {
	return failure("LimitExceededException", "You exceeded the maximum number of versions for a secret.")
}

// More than 20 labels on all versions together. [inf]
func errLabelQuota() *Error {
	return failure("LimitExceededException", "You exceeded the maximum number of staging labels for a secret.")
}

// More than 500,000 secrets. [inf]
func errSecretQuota() *Error {
	return failure("LimitExceededException", "You exceeded the maximum number of secrets.")
}

// More than 50 tags; TagResource declares no LimitExceededException. [inf]
func errTagQuota() *Error {
	return invalidParameter("You can't have more than %d tags on a secret.", maxTags)
}

// The caller's policy says no. [seen] The resource is the SecretId as given.
func (s *Server) errDenied(operation, resource string) *Error {
	return failure("AccessDeniedException",
		"User: arn:aws:iam::%s:user/awssmtest is not authorized to perform: secretsmanager:%s on resource: %s because no identity-based policy allows the secretsmanager:%s action",
		s.account, operation, resource, operation)
}

// The KMS key is disabled. HTTP 400. [doc]
func errDecryption() *Error {
	return failure("DecryptionFailure", "Secrets Manager can't decrypt the protected secret text using the provided KMS key.")
}

func errEncryption() *Error {
	return failure("EncryptionFailure", "Secrets Manager can't encrypt the protected secret text using the provided KMS key. Check that the KMS key is available, enabled, and not in an invalid state.")
}

// A NextToken that this operation did not give out. [doc]
func errNextToken() *Error {
	return failure("InvalidNextTokenException", "The NextToken value is invalid.")
}
