package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzLineOf: an error points to a line that names the key, and to the right one where only comments are around it.
func FuzzLineOf(f *testing.F) {
	for _, s := range [][3]string{
		{"# a comment", "timeouts.idle", "sites[0]."},
		{"pools:\n  a:\n    pm: static", "pm", "pools.a."},
		{"sites:\n- root: x\n- root: y\n  hosts: z", "hosts", "sites[1]."},
		{"[[sites]]\nroot = 1\n[[ sites ]]\n", "root", "sites[1]."},
		{"{\"sites\": [{\n\"root\": 1}]}", "root", ""},
		{"pm: {max_children: 8}", "pm.max_children", ""},
		{"\r\n\t- x", "(", "sites[9]."},
		{"[pools.\"a b\"]\npm = 1\n[pools.c]\npm = 2", "pm", "pools.c."},
		{"\x00\xff", "*", ""},
	} {
		f.Add(s[0], s[1], s[2])
	}
	file := filepath.Join(f.TempDir(), "my.yaml")
	f.Fuzz(func(t *testing.T, text, key, prefix string) {
		put := func(text string) []string {
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			return strings.Split(text, "\n")
		}
		lines := put(text)
		if strings.HasPrefix(prefix, "sites[") { // only addSites makes it
			prefix = "sites[1]."
		}
		line := lineOf(file, prefix, key)
		if line < 0 || line > len(lines) {
			t.Fatalf("line %d of %d", line, len(lines))
		}
		level, _, _ := strings.Cut(key, ".")
		last := key[strings.LastIndex(key, ".")+1:]
		if line > 0 && key == strings.ToLower(key) && !strings.Contains(key, delimiter) {
			if in := strings.ToLower(lines[line-1]); !strings.Contains(in, last) && !strings.Contains(in, level) {
				t.Fatalf("%q is said to be in line %d: %q", key, line, lines[line-1])
			}
		}
		// A key among comments.
		var comments []string
		for _, line := range lines {
			comments = append(comments, "# "+line)
		}
		put(strings.Join(comments, "\n") + "\ntimeouts.idle: 5s\n" + strings.Join(comments, "\n"))
		if got := lineOf(file, "", "timeouts.idle"); got != len(lines)+1 {
			t.Fatalf("timeouts.idle is in line %d, not %d", len(lines)+1, got)
		}
	})
}
