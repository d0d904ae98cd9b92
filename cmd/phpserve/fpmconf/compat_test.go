package fpmconf

import (
	"os"
	"strings"
	"testing"
)

// TestEveryDirectiveIsInTheDocumentation holds docs/fpm-compat.md to the directives that exist.
func TestEveryDirectiveIsInTheDocumentation(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../docs/fpm-compat.md")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range globalDirectives() {
		names = append(names, d.name)
	}
	for _, d := range poolDirectives() {
		names = append(names, d.name)
	}
	if len(names) < 50 {
		t.Fatalf("only %d directives", len(names))
	}
	for _, name := range names {
		if !strings.Contains(string(text), "`"+name+"`") && !strings.Contains(string(text), "`"+name+"[]`") {
			t.Errorf("%s is not in docs/fpm-compat.md", name)
		}
	}
}
