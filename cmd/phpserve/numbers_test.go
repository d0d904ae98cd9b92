package main

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// loadText loads a configuration of a file with this name.
func loadText(t *testing.T, name, text string) (settings, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	addFlags(flags)
	if err := flags.Set("config", file); err != nil {
		t.Fatal(err)
	}
	s, _, err := load(flags, nil)
	return s, err
}

// field is the value of a key.
func field(v reflect.Value, key string) (reflect.Value, bool) {
	for f := range v.Type().Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("mapstructure"), ",")
		value := v.FieldByIndex(f.Index)
		switch {
		case options == "squash":
			if found, ok := field(value, key); ok {
				return found, true
			}
		case name == "":
		case f.Type.Kind() == reflect.Struct:
			if rest, ok := strings.CutPrefix(key, name+delimiter); ok {
				return field(value, rest)
			}
		case name == key:
			return value, true
		}
	}
	return reflect.Value{}, false
}

// TestNumbersAreReadWhateverTheirSize: of every key with a number, in every kind of file, as a number and as a text.
func TestNumbersAreReadWhateverTheirSize(t *testing.T) {
	t.Parallel()
	kinds := []reflect.Type{reflect.TypeFor[int](), reflect.TypeFor[size](), reflect.TypeFor[duration](), reflect.TypeFor[coreSize]()}
	tested := 0
	eachKey(reflect.TypeFor[settings](), "", func(key string, kind reflect.Type) {
		if !slices.Contains(kinds, kind) {
			return
		}
		tested++
		dotted := strings.ReplaceAll(key, delimiter, ".")
		for _, number := range []string{"0", "7", "65536", "999999", "1000000", "2097152", "123456789", "8589934592"} {
			for name, text := range map[string]string{
				"c.json": fmt.Sprintf(`{%q: %s}`, dotted, number), "text.json": fmt.Sprintf(`{%q: %q}`, dotted, number),
				"c.yaml": dotted + ": " + number + "\n", "text.yaml": dotted + ": \"" + number + "\"\n",
				"c.toml": fmt.Sprintf("%q = %s\n", dotted, number), "text.toml": fmt.Sprintf("%q = %q\n", dotted, number),
			} {
				s, err := loadText(t, name, text)
				if err != nil {
					t.Errorf("%s: %s: %v", name, text, err)
					continue
				}
				got, ok := field(reflect.ValueOf(s), key)
				if !ok {
					t.Fatalf("no field for %s", key)
				}
				value := got.Int()
				if kind == reflect.TypeFor[duration]() {
					value /= 1e9
				}
				if fmt.Sprint(value) != number {
					t.Errorf("%s: %s: %d", name, text, value)
				}
			}
		}
	})
	if tested < 20 {
		t.Errorf("%d keys", tested)
	}
}

// TestNumbersThatAreNone are refused with their place and what to write; other forms of numbers are what YAML and TOML say they are.
func TestNumbersThatAreNone(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, text, want string }{
		{"c.json", "{\n\"pm.max_children\": 1e6}", "1000000"},
		{"c.yaml", "pm.max_children: 1e6", "1000000"},
		{"c.yaml", "pm.max_children: 1_000_000", "1000000"},
		{"c.yaml", "pm.max_children: 0x10", "16"},
		{"c.yaml", "pm.max_children: 0o17", "15"},
		{"c.toml", "\"pm.max_children\" = 1_000_000", "1000000"},
		{"c.toml", "\"pm.max_children\" = 0xff", "255"},
		{"c.json", "{\n\"pm.max_children\": 1.5}", "c.json:2: pm.max_children: 1.5 is not a whole number"},
		{"c.json", "{\n\"pm.max_children\": 1e300}", "c.json:2: pm.max_children: 1e+300 is not a whole number"},
		{"c.json", "{\n\"pm.max_children\": 9223372036854775808}", "c.json:2: pm.max_children: 9.223372036854776e+18 is not a whole number"},
		{"c.yaml", "\npm.max_children: 18446744073709551615", "c.yaml:2: pm.max_children: 18446744073709551615 is not a whole number"},
		{"c.yaml", "pm.max_children: .nan", "c.yaml:1: pm.max_children: NaN is not a whole number"},
		{"c.yaml", "pm.max_children: yes", `c.yaml:1: pm.max_children: "yes" is not a whole number`},
		{"c.json", "{\"pm.max_children\": true}", "c.json:1: pm.max_children: true is not a whole number"},
		{"c.json", "{\"pm.max_children\": \"many\"}", `c.json:1: pm.max_children: "many" is not a whole number`},
		{"c.json", "{\"max_body_size\": true}", "c.json:1: max_body_size: true is yes or no, and not a number"},
		{"c.yaml", "max_body_size: on", `c.yaml:1: max_body_size: "on" is not a size: write bytes, or a number with K, M or G`},
		{"c.json", "{\"max_body_size\": -1}", `c.json:1: max_body_size: "-1" is not a size: write bytes, or a number with K, M or G`},
		{"c.json", "{\"max_body_size\": -2000000}", `c.json:1: max_body_size: "-2000000" is not a size: write bytes, or a number with K, M or G`},
		{"c.json", "{\"max_body_size\": 1.5}", `c.json:1: max_body_size: "1.5" is not a size: write bytes, or a number with K, M or G`},
		{"c.json", "{\"max_body_size\": 1e30}", "c.json:1: max_body_size: 1e+30 is too large for a number of this file to be exact: write its digits in quotes"},
		{"c.yaml", "max_body_size: .inf", "c.yaml:1: max_body_size: +Inf is too large for a number of this file to be exact: write its digits in quotes"},
		{"c.toml", "\"timeouts.body\" = 1.5", `c.toml:1: timeouts.body: "1.5" is not a time: write whole seconds, or a number with ms, s, m, h or d`},
		{"c.json", "{\"timeouts.body\": -5}", `c.json:1: timeouts.body: "-5" is not a time: write whole seconds, or a number with ms, s, m, h or d`},
	} {
		s, err := loadText(t, tt.name, tt.text)
		if err == nil {
			if got := fmt.Sprint(s.Pool.MaxChildren); got != tt.want {
				t.Errorf("%s: %d", tt.text, s.Pool.MaxChildren)
			}
			continue
		}
		if !strings.HasSuffix(err.Error(), tt.want) {
			t.Errorf("%s:\n%v\nwant %s", tt.text, err, tt.want)
		}
	}
}
