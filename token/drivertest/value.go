package drivertest

import (
	"crypto/rand"
	"strings"
	"testing"

	"github.com/tokenkeep/tokenkeep/codec"
)

// canary is in all values of the suite, and in no error that it sees.
const canary = "canary-2f9b41c7d05e"

// record is a valid secret: what the engine would put.
func record(t *testing.T, frame codec.Frame, id, token string) []byte {
	t.Helper()
	write, err := codec.NewWriteID(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	value, err := codec.EncodeRecord(&codec.Record{
		Frame:       frame.Next(codec.KindToken, write),
		ID:          id,
		UserName:    canary,
		AccessToken: token,
	})
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// first is a value that creates a secret. No two are equal.
func first(t *testing.T) []byte {
	t.Helper()
	return record(t, codec.Frame{}, "id", canary)
}

// after is a value that replaces stored: it names stored's write.
func after(t *testing.T, stored []byte) []byte {
	t.Helper()
	return record(t, decoded(t, stored).Frame, "id", canary)
}

// sized is a value of n bytes that creates a secret.
func sized(t *testing.T, n int) []byte {
	t.Helper()
	rest := n - len(record(t, codec.Frame{}, "id", canary))
	if rest < 0 {
		t.Fatalf("Limits.Value is %d bytes less than the smallest record takes", -rest)
	}
	return record(t, codec.Frame{}, "id", canary+strings.Repeat("x", rest))
}

// counted is a value that counts: its token is as long as the count is high. It
// replaces stored, or creates the secret if that is nil.
func counted(t *testing.T, stored []byte) []byte {
	t.Helper()
	if stored == nil {
		return record(t, codec.Frame{}, "id", "")
	}
	old := decoded(t, stored)
	return record(t, old.Frame, "id", old.AccessToken+"x")
}

func countOf(t *testing.T, stored []byte) int {
	t.Helper()
	return len(decoded(t, stored).AccessToken)
}

func decoded(t *testing.T, value []byte) *codec.Record {
	t.Helper()
	r, err := codec.DecodeRecord(value)
	if err != nil {
		t.Fatalf("the service holds what no Put wrote: %v", err)
	}
	return r
}
