package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzComposerPublicDir: whatever composer.json holds, the folder that it names is within the project; and it is the one that it names.
func FuzzComposerPublicDir(f *testing.F) {
	for _, s := range []string{
		`{"extra": {"public-dir": "web/"}}`, `{"extra": {"public-dir": "../.."}}`, `{"extra": {"public-dir": "/etc"}}`, `{"extra": []}`, `[]`, ``, `{"extra": {"public-dir": 1}}`,
		`{"extra": {"public-dir": "a/../../b"}}`, `{"extra": {"public-dir": "a\u0000"}}`, `{"EXTRA": {"Public-Dir": "x"}}`, `{"extra": {"public-dir": "."}}`, `{"extra": {"public-dir": "//"}}`,
	} {
		f.Add([]byte(s))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(filepath.Join(dir, "composer.json"), text, 0o600); err != nil {
			t.Fatal(err)
		}
		public, err := composerPublicDir(dir)
		if err != nil {
			if public != "" || strings.Contains(err.Error(), "\x00") {
				t.Fatalf("%q, %v", public, err)
			}
			return
		}
		if public == "" {
			return
		}
		if path := filepath.Join(dir, public); path != dir && !strings.HasPrefix(path, dir+string(filepath.Separator)) || strings.ContainsRune(public, 0) {
			t.Fatalf("%q is not within the project", public)
		}
		var composer map[string]any
		if err := json.Unmarshal(text, &composer); err != nil {
			t.Fatalf("%q of what is no object: %v", public, err)
		}
	})
}
