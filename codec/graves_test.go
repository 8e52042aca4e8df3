package codec

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestGravesAreReadAsTheyWereWritten(t *testing.T) {
	x := goldenIndexes()["root_alone"]
	x.Graves = map[string]time.Time{
		refA:            time.Unix(1_893_456_000, 999).UTC(),
		refB:            time.Unix(0, 0).UTC(),
		RefOf("chosen"): time.Unix(-1, 0).UTC(),
	}
	value, err := EncodeIndex(x)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeIndex(value)
	if err != nil {
		t.Fatal(err)
	}
	x.Graves[refA] = x.Graves[refA].Truncate(time.Second)
	if diff := cmp.Diff(x, got, same); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	got.Clone().Graves[refB] = time.Unix(7, 0)
	if !got.Graves[refB].Equal(time.Unix(0, 0)) {
		t.Error("a change of the clone changed the index")
	}
}

func TestAnIndexWithoutGravesHasNoSuchMember(t *testing.T) {
	for name, graves := range map[string]map[string]time.Time{"none": nil, "all empty": {}} {
		t.Run(name, func(t *testing.T) {
			x := goldenIndexes()["root_alone"]
			want, err := EncodeIndex(x)
			if err != nil {
				t.Fatal(err)
			}
			x.Graves = graves
			got, err := EncodeIndex(x)
			if diff := cmp.Diff(string(want), string(got)); diff != "" || err != nil {
				t.Errorf("error %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestDamagedGravesAreRefused(t *testing.T) {
	for name, graves := range map[string]string{
		"null":                      `null`,
		"a text":                    `"` + canary + `"`,
		"a list":                    `["` + refA + `"]`,
		"a number":                  `7`,
		"a name that is no ref":     `{"` + canary + `":7}`,
		"an empty name":             `{"":7}`,
		"a ref of 21":               `{"` + refA + `a":7}`,
		"a ref twice":               `{"` + refA + `":7,"` + refA + `":8}`,
		"a time that is a text":     `{"` + refA + `":"` + canary + `"}`,
		"a time that is null":       `{"` + refA + `":null}`,
		"a time that is a fraction": `{"` + refA + `":7.5}`,
		"a time that is a list":     `{"` + refA + `":[7]}`,
		"a time too large":          fmt.Sprintf(`{"%s":99999999999999999999}`, refA),
	} {
		t.Run(name, func(t *testing.T) {
			value := []byte(indexValue(`,"hash_key":"a2V5","leaves":{"":"index"},"prefix":"","entries":"","graves":` + graves))
			x, err := DecodeIndex(value)
			if err == nil || x != nil {
				t.Fatalf("read: %v, error %v", x, err)
			}
			noEcho(t, err, value)
		})
	}
}
