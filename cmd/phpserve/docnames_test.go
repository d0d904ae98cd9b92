package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// provenDocs are the pages that name the test, and the source, of what they say.
var provenDocs = []string{"security.md", "fpm-compat.md"}

// sourceTests is the names of the tests of each package, by its folder, and of all source files.
func sourceTests(t *testing.T) (tests map[string][]string, files map[string]bool) {
	t.Helper()
	tests, files = map[string][]string{}, map[string]bool{}
	root := os.DirFS("../..")
	err := fs.WalkDir(root, ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(file) != ".go" {
			return err
		}
		files[file] = true
		if !strings.HasSuffix(file, "_test.go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join("../..", file), nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, decl := range parsed.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil {
				tests[path.Dir(file)] = append(tests[path.Dir(file)], f.Name.Name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tests, files
}

func readDoc(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A test that was renamed or removed proves nothing any more, whatever the page says.
func TestDocsNameOnlyTestsThatExist(t *testing.T) {
	t.Parallel()
	tests, _ := sourceTests(t)
	exists := map[string]bool{}
	for _, names := range tests {
		for _, name := range names {
			exists[name] = true
		}
	}
	named := regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w*(/\w+)?`)
	for _, doc := range provenDocs {
		all := named.FindAllStringSubmatch(readDoc(t, doc), -1)
		if len(all) < 50 {
			t.Errorf("docs/%s names %d tests only: is this still how it names them?", doc, len(all))
		}
		for _, m := range all {
			name := strings.TrimSuffix(m[0], m[1])
			if !exists[name] {
				t.Errorf("docs/%s names %s, which is no test", doc, name)
			}
			if script := "testdata/script" + m[1] + ".txtar"; m[1] != "" {
				if _, err := os.Stat(script); name != "TestScripts" || err != nil {
					t.Errorf("docs/%s names %s, and there is no %s", doc, m[0], script)
				}
			}
		}
	}
}

func TestDocsGiveOnlyTestCommandsThatRunSomething(t *testing.T) {
	t.Parallel()
	tests, _ := sourceTests(t)
	command := regexp.MustCompile(`go test \./([\w/]+)(?: -run (?:'([^']+)'|([^'\s` + "`" + `]+)))?`)
	seen := 0
	for _, doc := range provenDocs {
		for _, m := range command.FindAllStringSubmatch(readDoc(t, doc), -1) {
			seen++
			pattern, err := regexp.Compile(m[2] + m[3])
			if err != nil {
				t.Fatal(err)
			}
			matches := 0
			for _, name := range tests[m[1]] {
				if strings.HasPrefix(name, "Test") && pattern.MatchString(name) {
					matches++
				}
			}
			if matches == 0 {
				t.Errorf("docs/%s: %q runs no test", doc, m[0])
			}
		}
	}
	if seen == 0 {
		t.Error("the pages give no command")
	}
}

// In a cell of a table a name without a folder is in the folder of the one before it, or in cmd/phpserve.
func TestDocsNameOnlySourceFilesThatExist(t *testing.T) {
	t.Parallel()
	_, files := sourceTests(t)
	named := regexp.MustCompile(`[\w./-]+\.go\b`)
	seen := 0
	for _, doc := range provenDocs {
		for line := range strings.Lines(readDoc(t, doc)) {
			for cell := range strings.SplitSeq(line, "|") {
				folder := "cmd/phpserve"
				for _, name := range named.FindAllString(cell, -1) {
					seen++
					if dir := path.Dir(name); dir != "." {
						folder = dir
					}
					if file := path.Join(folder, path.Base(name)); !files[file] {
						t.Errorf("docs/%s names %s, and there is no %s", doc, name, file)
					}
				}
			}
		}
	}
	if seen < 50 {
		t.Errorf("the pages name %d files only: is this still how they name them?", seen)
	}
}
