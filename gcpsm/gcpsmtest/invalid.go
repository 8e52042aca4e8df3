package gcpsmtest

// This file has the errors for what clients send that the service does not take:
// all INVALID_ARGUMENT. The marks are those of error.go.

// An empty payload. [seen]
func errNoPayload() error { return invalid("Secret Payload cannot be empty.") }

// More than 64 KiB. [inf]
func errPayloadSize() error {
	return invalid("The secret payload exceeds the maximum size of %d bytes.", maxPayload)
}

// The checksum that the client sent is not that of the data. Code [doc], text [inf]
func errChecksum() error {
	return invalid("The data_crc32c does not match the checksum of the secret payload.")
}

// The secret id of CreateSecret has other characters or another length. [inf]
func errSecretID(id string) error {
	return invalid("The provided Secret ID [%s] does not match the expected format [[a-zA-Z_0-9-]{1,255}]", id)
}

// A required field is missing. [inf]
func errRequired(field string) error { return invalid("The field [%s] is required.", field) }

// A global secret without replication. [inf]
func errNoReplication() error { return errRequired("secret.replication") }

// A regional secret with one. [inf]
func errRegionalReplication() error {
	return invalid("The field [secret.replication] must not be set for a regional secret.")
}

// Encryption of a global secret belongs into its replication. [inf]
func errGlobalEncryption() error {
	return invalid("The field [secret.customer_managed_encryption] must not be set for a global secret.")
}

// "Required. [...] Cannot be empty." [inf]
func errNoReplicas() error { return errRequired("secret.replication.user_managed.replicas") }

// [inf]
func errReplicaLocation(location string) error {
	return invalid("The replica location [%s] is not valid.", location)
}

// [inf]
func errReplicaTwice(location string) error {
	return invalid("The replica location [%s] is given more than once.", location)
}

// Code [doc], text [inf]
func errSomeKeys() error {
	return invalid("Customer-managed encryption must be set for all replicas or for none.")
}

// [inf]
func errKeyName(name string) error {
	return invalid("The KMS key name [%s] does not match the expected format [projects/*/locations/*/keyRings/*/cryptoKeys/*]", name)
}

// [inf]
func errKeyLocation(name, location string) error {
	return invalid("The KMS key [%s] must be in the location %s.", name, location)
}

// A label, annotation, alias or topic with other characters. [seen] for labels
func errPattern(field, value, pattern string) error {
	return invalid("Invalid field %q; value %q does not conform to regular expression %q", field, value, pattern)
}

// [inf]
func errTooMany(field string, n, most int) error {
	return invalid("The field [%s] has %d entries; at most %d are allowed.", field, n, most)
}

// [inf]
func errAnnotationSize(size int) error {
	return invalid("The annotations have %d bytes; the total size must be less than %d.", size, maxAnnotations)
}

// [inf]
func errAliasOfNothing(alias string, number int64) error {
	return invalid("The version alias [%s] refers to version %d, which does not exist.", alias, number)
}

// [inf]
func errExpiration() error {
	return invalid("The expiration must be in the future and at most %d seconds ahead.", maxAhead)
}

// [inf]
func errRotation(why string) error { return invalid("The rotation %s.", why) }

// [inf]
func errDestroyTTL() error {
	return invalid("The version_destroy_ttl must be at least %s and at most %s.", minDestroyTTL, maxDestroyTTL)
}

// The mask of UpdateSecret is missing, or names what cannot be changed. [inf]
func errMask(path string) error {
	return invalid("The update mask path [%s] is not a field that can be updated.", path)
}

// [inf]
func errImmutable(field string) error {
	return invalid("The field [%s] cannot be changed after the secret has been created.", field)
}

// [inf]
func errPageSize(n int32) error { return invalid("The page size %d must not be negative.", n) }

// A page token that is not from this list, or was edited. [inf]
func errPageToken() error { return invalid("The page token is not valid.") }

// A filter that the double does not know, or that nobody would. [inf]
func errFilter(filter, why string) error {
	return invalid("The filter [%s] is not valid: %s.", filter, why)
}
