package server

import (
	"strings"
	"testing"

	"github.com/phpserve/phpserve/manager"
)

// FuzzPHPValue: each line of PHP_VALUE is one setting that can be written to an ini file, or is said to be wrong, or is empty or a
// comment; none makes two, and what is a comment sets nothing.
func FuzzPHPValue(f *testing.F) {
	for _, s := range []string{
		"precision = 5", "a=b\nc = \"d\"\n;e=f", "[PATH=/]\nx=y", "a[b]=c", "a='b", `a="b`, "a = b ; c", "=b", "a\x00b=c", "a=b\r\nc=d", "extension=x.so", "a",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		settings, bad := parseINILines(text)
		lines := 0
		for line := range strings.SplitSeq(text, "\n") {
			if line = strings.TrimSpace(line); line != "" && line[0] != ';' {
				lines++
			}
		}
		if len(settings)+len(bad) != lines {
			t.Fatalf("%d settings and %d complaints of %d lines: %q %q", len(settings), len(bad), lines, settings, bad)
		}
		for _, kv := range settings {
			name, value, ok := strings.Cut(kv, "=")
			if err := manager.CheckINI(kv); !ok || err != nil || strings.ContainsAny(kv, "\n\x00") {
				t.Fatalf("%q cannot be set: %v", kv, err)
			}
			if !strings.Contains(text, name) || !strings.Contains(text, value) {
				t.Fatalf("%q is not in %q", kv, text)
			}
		}
		for _, said := range bad {
			if strings.ContainsAny(said, "\n") {
				t.Fatalf("a complaint of two lines: %q", said)
			}
		}
	})
}
