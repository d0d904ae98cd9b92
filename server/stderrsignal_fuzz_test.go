package server

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// FuzzSignals: signals are what the format says, and of the messages around them no byte is lost or added.
func FuzzSignals(f *testing.F) {
	const token = "phpserve-finish-0123"
	for _, s := range []string{"", "T\n", "a\nT=2097152;\nb", "T=;T", "TT=1;T=-1;", "T=99999999999999999999;\n", "phpserve-finish-01T23", "T=T;1"} {
		f.Add(s)
	}
	signal := regexp.MustCompile(token + `(?:=([^;]+);)?\n?`)
	f.Fuzz(func(t *testing.T, text string) {
		in := strings.ReplaceAll(text, "T", token)
		messages, got := takeSignals([]byte(in), []byte(token))
		want := stderrSignals{}
		for _, m := range signal.FindAllStringSubmatch(in, -1) {
			if m[1] == "" {
				want.finish = true
			} else if n, err := strconv.ParseInt(m[1], 10, 64); err == nil && n > 0 {
				want.peak = uint64(n)
			}
		}
		if string(messages) != signal.ReplaceAllString(in, "") || got != want {
			t.Fatalf("%q: %q, %+v, want %q, %+v", in, messages, got, signal.ReplaceAllString(in, ""), want)
		}
	})
}
