package vaultstoretest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/hashicorp/go-secure-stdlib/parseutil"
	"github.com/mitchellh/mapstructure"
)

// A kind is what a parameter of a path is converted to. The conversions are as
// generous as Vault's, being the same library's: "7", 7 and true are numbers.
//
// sdk/framework/field_data.go
type kind int

const (
	kindString kind = iota
	kindBool
	kindInt
	kindMap
	kindSeconds       // a duration, not negative
	kindSignedSeconds // a duration
	kindInts          // a list of numbers, or a string of them with commas
	kindStrings       // a list of texts, or a text of them with commas
)

// A schema is the parameters that a path knows.
type schema map[string]kind

// fields are the parameters of one request: its body or query, and over that what
// stands in the path.
type fields struct {
	raw    map[string]any
	schema schema
}

// newFields also returns which parameters the path does not know, and which the
// path replaced.
func newFields(sc schema, data, captures map[string]any) (f *fields, ignored, replaced []string) {
	f = &fields{raw: map[string]any{}, schema: sc}
	for name, value := range data {
		f.raw[name] = value
		if _, known := sc[name]; !known {
			ignored = append(ignored, name)
		}
	}
	for name, value := range captures {
		if f.raw[name] != nil {
			replaced = append(replaced, name)
		}
		f.raw[name] = value
	}
	sort.Strings(ignored)
	return f, ignored, replaced
}

// validate converts everything once. Where several are wrong, Vault names any.
func (f *fields) validate() error {
	for _, name := range slices.Sorted(maps.Keys(f.raw)) {
		if _, known := f.schema[name]; !known {
			continue
		}
		if _, _, err := f.convert(name); err != nil {
			return fmt.Errorf("error converting input for field %q: %w", name, err)
		}
	}
	return nil
}

// invalid is the response to wrong parameters, nil if they are right.
func (f *fields) invalid() *response {
	if err := f.validate(); err != nil {
		return errorResponse("Field validation failed: " + err.Error())
	}
	return nil
}

// get returns a parameter, and whether the request has it. After validate it does
// not fail.
func (f *fields) get(name string) (any, bool) {
	value, ok, err := f.convert(name)
	if err != nil {
		panic("vaultstoretest: " + err.Error())
	}
	return value, ok
}

func (f *fields) str(name string) string {
	s, _ := f.get(name)
	text, _ := s.(string)
	return text
}

func (f *fields) number(name string) int {
	v, _ := f.get(name)
	n, _ := v.(int)
	return n
}

func (f *fields) ints(name string) []int {
	v, _ := f.get(name)
	list, _ := v.([]int)
	return list
}

func (f *fields) strs(name string) []string {
	v, _ := f.get(name)
	list, _ := v.([]string)
	return list
}

func (f *fields) convert(name string) (any, bool, error) {
	raw, ok := f.raw[name]
	if !ok {
		return nil, false, nil
	}
	switch k := f.schema[name]; k {
	case kindBool:
		var v bool
		err := mapstructure.WeakDecode(raw, &v)
		return v, err == nil, err
	case kindInt:
		var v int
		err := mapstructure.WeakDecode(raw, &v)
		return v, err == nil, err
	case kindMap:
		var v map[string]any
		err := mapstructure.WeakDecode(raw, &v)
		return v, err == nil, err
	case kindSeconds, kindSignedSeconds:
		if raw == nil {
			return nil, false, nil
		}
		d, err := parseutil.ParseDurationSecond(raw)
		if err != nil {
			return nil, false, err
		}
		v := int(d.Seconds())
		if k == kindSeconds && v < 0 {
			return nil, false, fmt.Errorf("cannot provide negative value '%d'", v)
		}
		return v, true, nil
	case kindInts:
		v, err := convertInts(raw)
		return v, err == nil, err
	case kindStrings:
		v, err := parseutil.ParseCommaStringSlice(raw)
		return v, err == nil, err
	default:
		var v string
		err := mapstructure.WeakDecode(raw, &v)
		return v, err == nil, err
	}
}

func convertInts(raw any) ([]int, error) {
	if n, ok := raw.(json.Number); ok {
		raw = n.String()
	}
	var v []int
	decoder, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		Result:           &v,
		WeaklyTypedInput: true,
		DecodeHook:       mapstructure.StringToSliceHookFunc(","),
	})
	if err != nil {
		return nil, err
	}
	if err := decoder.Decode(raw); err != nil {
		return nil, err
	}
	if v == nil {
		v = []int{}
	}
	return v, nil
}

// warnUnknown adds what the framework says about parameters that had no effect.
func (r *response) warnUnknown(ignored, replaced []string) {
	if len(ignored) > 0 {
		r.warn("Endpoint ignored these unrecognized parameters: [" + strings.Join(ignored, " ") + "]")
	}
	if len(replaced) > 0 {
		r.warn("Endpoint replaced the value of these parameters with the values captured from the endpoint's path: [" +
			strings.Join(replaced, " ") + "]")
	}
}
