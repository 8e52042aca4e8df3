package driver

import "strings"

// ValidName reports whether a name is one that [Driver] speaks of: 1 to 80 of the
// characters a-z, 0-9 and '-', with a letter or a digit at both ends.
func ValidName(name string) bool {
	const inner = "abcdefghijklmnopqrstuvwxyz0123456789-"
	return len(name) >= 1 && len(name) <= 80 && strings.Trim(name, inner) == "" &&
		name[0] != '-' && name[len(name)-1] != '-'
}
