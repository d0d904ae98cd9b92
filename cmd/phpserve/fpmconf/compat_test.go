package fpmconf

import (
	"os"
	"path/filepath"
	"regexp"
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

// TestEveryTestInTheDocumentationExists holds the last column of docs/fpm-compat.md to the tests that exist.
func TestEveryTestInTheDocumentationExists(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../docs/fpm-compat.md")
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	for _, dir := range []string{".", "..", "../../../server", "../../../manager", "../../../fastcgi"} {
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			code.Write(b)
		}
	}
	names := regexp.MustCompile(`Test[A-Z][A-Za-z0-9]+`).FindAllString(string(text), -1)
	if len(names) < 40 {
		t.Fatalf("only %d tests", len(names))
	}
	for _, name := range names {
		if !strings.Contains(code.String(), "func "+name+"(") {
			t.Errorf("there is no test %s", name)
		}
	}
}
