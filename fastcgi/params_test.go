package fastcgi

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// paramTests are bytes and their meaning, used in both directions.
var paramTests = []struct {
	what        string
	name, value string
	wire        string
}{
	{"both short", "A", "bc", "\x01\x02Abc"},
	{"empty value", "QUERY_STRING", "", "\x0c\x00QUERY_STRING"},
	{"empty name", "", "v", "\x00\x01v"},
	{"longest short value", "N", strings.Repeat("v", 127), "\x01\x7fN" + strings.Repeat("v", 127)},
	{"shortest long value", "N", strings.Repeat("v", 128), "\x01\x80\x00\x00\x80N" + strings.Repeat("v", 128)},
	{"long name", strings.Repeat("N", 200), "v", "\x80\x00\x00\xc8\x01" + strings.Repeat("N", 200) + "v"},
	{
		"both long", strings.Repeat("N", 128), strings.Repeat("v", 70000),
		"\x80\x00\x00\x80\x80\x01\x11\x70" + strings.Repeat("N", 128) + strings.Repeat("v", 70000),
	},
	{"NUL and newline are data", "A", "\x00\n", "\x01\x02A\x00\n"},
}

func TestParamsHaveTheBytesOfTheSpecification(t *testing.T) {
	for _, tt := range paramTests {
		t.Run(tt.what, func(t *testing.T) {
			if got := AppendParam(nil, tt.name, tt.value); string(got) != tt.wire {
				t.Errorf("encoded %.80q", got)
			}
			name, value, rest, err := NextParam([]byte(tt.wire + "rest"))
			if err != nil || string(name) != tt.name || string(value) != tt.value || string(rest) != "rest" {
				t.Errorf("decoded %.40q %.40q %.40q %v", name, value, rest, err)
			}
		})
	}
}

func TestNextParamAcceptsTheLongFormOfAShortLength(t *testing.T) {
	name, value, rest, err := NextParam([]byte("\x80\x00\x00\x01\x80\x00\x00\x01ab"))
	if err != nil || string(name) != "a" || string(value) != "b" || len(rest) != 0 {
		t.Errorf("got %q %q %q %v", name, value, rest, err)
	}
}

func TestNextParamNamesWhatIsTruncated(t *testing.T) {
	for wire, want := range map[string]string{
		"":                         "name length",
		"\x80\x00\x00":             "name length",
		"\x01":                     "value length",
		"\x01\x80\x00\x00":         "value length",
		"\x03\x00ab":               "name",
		"\x01\x02ab":               "value",
		"\xff\xff\xff\xff\x00":     "name",
		"\x00\xff\xff\xff\xff":     "value",
		"\xff\xff\xff\xff\xff\xff": "value length",
		// CVE-2025-23016: the sum of both lengths overflows 32 bits.
		"\xff\xff\xff\xff\xff\xff\xff\xffab": "name",
	} {
		_, _, _, err := NextParam([]byte(wire))
		var e *ParamError
		if !errors.As(err, &e) || e.Part != want || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", wire, err, want)
		}
	}
}

func FuzzNextParam(f *testing.F) {
	for _, tt := range paramTests {
		f.Add([]byte(tt.wire))
	}
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xffab"))
	f.Fuzz(func(t *testing.T, p []byte) {
		for rest := p; len(rest) > 0; {
			name, value, next, err := NextParam(rest)
			if err != nil {
				return
			}
			if len(next)+len(name)+len(value)+2 > len(rest) {
				t.Fatalf("more out than in: %q", rest)
			}
			again := AppendParam(nil, string(name), string(value))
			n, v, r, err := NextParam(again)
			if err != nil || !bytes.Equal(n, name) || !bytes.Equal(v, value) || len(r) != 0 {
				t.Fatalf("%q does not survive encoding: %q %q %q %v", rest, n, v, r, err)
			}
			rest = next
		}
	})
}
