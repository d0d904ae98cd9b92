package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// architecture is docs/architecture.md.
func architecture(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestArchitectureHasTheImportGraph: the picture of the packages is the one that go list sees, on all systems phpserve is built for.
func TestArchitectureHasTheImportGraph(t *testing.T) {
	t.Parallel()
	const module = "github.com/phpserve/phpserve/"
	imports := map[string][]string{}
	for _, system := range []string{"linux", "darwin", "windows"} {
		for _, line := range goList(t, system, `{{if .Module.Main}}{{.ImportPath}}{{range .Imports}} {{.}}{{end}}{{end}}`, module+"...") {
			fields := strings.Fields(line)
			pkg := strings.TrimPrefix(fields[0], module)
			if strings.HasPrefix(pkg, "bench") || slices.Contains([]string{"internal/patient", "internal/phpfpm", "internal/testcerts", "internal/testfiles"}, pkg) {
				continue // they are not in the binary
			}
			imports[pkg] = append(imports[pkg], "") // also one that imports nothing
			for _, to := range fields[1:] {
				if to, ours := strings.CutPrefix(to, module); ours && !slices.Contains(imports[pkg], to) {
					imports[pkg] = append(imports[pkg], to)
				}
			}
		}
	}
	want := ""
	for len(imports) > 0 { // from the top down: first those that nobody else imports
		var row []string
		for pkg := range imports {
			above := false
			for _, list := range imports {
				above = above || slices.Contains(list, pkg)
			}
			if !above {
				row = append(row, pkg)
			}
		}
		slices.Sort(row)
		if len(row) == 0 {
			t.Fatalf("packages that import each other: %v", imports)
		}
		for _, pkg := range row {
			list := slices.DeleteFunc(imports[pkg], func(s string) bool { return s == "" })
			slices.Sort(list)
			want += strings.TrimRight(fmt.Sprintf("    %-24s → %s", pkg, strings.Join(list, " ")), " →") + "\n"
			delete(imports, pkg)
		}
	}
	if !strings.Contains(architecture(t), "\n"+want+"\n") {
		t.Errorf("docs/architecture.md must have this picture of the packages:\n\n%s", want)
	}
}

// TestArchitectureWalksAreInTheCode: each step of a walk names a file and a function, method or type in it, as "`path/file.go` `Name`".
func TestArchitectureWalksAreInTheCode(t *testing.T) {
	t.Parallel()
	steps := regexp.MustCompile("`([\\w./-]+\\.go)` `([\\w.]+)`").FindAllStringSubmatch(architecture(t), -1)
	if len(steps) < 20 {
		t.Fatalf("there are %d steps", len(steps))
	}
	for _, step := range steps {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("../..", filepath.FromSlash(step[1])), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Errorf("%s: %v", step[0], err)
			continue
		}
		if !slices.Contains(declared(file), step[2]) {
			t.Errorf("%s has no %s", step[1], step[2])
		}
	}
}

// declared are the names that a file declares; a method's is Type.method.
func declared(file *ast.File) (names []string) {
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			name := d.Name.Name
			if d.Recv != nil {
				of := d.Recv.List[0].Type
				if star, ok := of.(*ast.StarExpr); ok {
					of = star.X
				}
				if ident, ok := of.(*ast.Ident); ok {
					name = ident.Name + "." + name
				}
			}
			names = append(names, name)
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					names = append(names, spec.Name.Name)
				case *ast.ValueSpec:
					for _, n := range spec.Names {
						names = append(names, n.Name)
					}
				}
			}
		}
	}
	return names
}
