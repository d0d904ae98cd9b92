package main

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDependenciesAreNamed compares docs/dependencies.md with what the binary imports, on all systems it is built for.
func TestDependenciesAreNamed(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	var named []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\S+)` \\|").FindAllSubmatch(text, -1) {
		named = append(named, string(m[1]))
	}
	var imported []string
	for _, system := range []string{"linux", "darwin", "windows"} {
		ours := goList(t, system, `{{if .Module}}{{if .Module.Main}}{{range .Imports}}{{println .}}{{end}}{{end}}{{end}}`, "-deps", ".")
		modules := goList(t, system, `{{if .Module}}{{if not .Module.Main}}{{.ImportPath}} {{.Module.Path}}{{end}}{{end}}`, "-deps", ".")
		for _, line := range modules {
			if pkg, module, _ := strings.Cut(line, " "); slices.Contains(ours, pkg) {
				imported = append(imported, module)
			}
		}
	}
	slices.Sort(named)
	slices.Sort(imported)
	if imported = slices.Compact(imported); !slices.Equal(named, imported) {
		t.Errorf("docs/dependencies.md names\n%s\nthe binary imports\n%s", strings.Join(named, "\n"), strings.Join(imported, "\n"))
	}
}

// goList is what "go list -f format" says, a line each.
func goList(t *testing.T, system, format string, args ...string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-f", format}, args...)...)
	cmd.Env = append(os.Environ(), "GOOS="+system, "CGO_ENABLED=0", "GOWORK=off")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	return strings.FieldsFunc(string(out), func(r rune) bool { return r == '\n' })
}
