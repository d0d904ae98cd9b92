package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/phpserve/phpserve/fastcgi"
	"github.com/phpserve/phpserve/manager"
)

// FuzzFPMScript: whatever a web server sends, what is run is an existing file with an allowed extension, is what php-cgi is told to
// run, and nothing else is said that php-cgi would look for a script with.
func FuzzFPMScript(f *testing.F) {
	root := f.TempDir()
	for _, name := range []string{"a.php", "b.txt"} {
		if err := os.WriteFile(filepath.Join(root, name), nil, 0o600); err != nil {
			f.Fatal(err)
		}
	}
	add := func(fix bool, pairs ...string) {
		var p []byte
		for i := 0; i < len(pairs); i += 2 {
			p = fastcgi.AppendParam(p, pairs[i], pairs[i+1])
		}
		f.Add(p, fix)
	}
	add(true, "SCRIPT_FILENAME", "ROOT/a.php/x/y", "SCRIPT_NAME", "/a.php", "PATH_INFO", "/x/y", "DOCUMENT_ROOT", "ROOT")
	add(true, "SCRIPT_FILENAME", "proxy:fcgi://h:1ROOT/a.php/x?y", "REDIRECT_URL", "/x", "PATH_TRANSLATED", "ROOT/a.php")
	add(false, "PATH_TRANSLATED", "ROOT/a.php", "PATH_INFO", "/", "SCRIPT_FILENAME", "ROOT/b.txt")
	add(true, "SERVER_SOFTWARE", "Microsoft-IIS/10", "PATH_INFO", "/a.php", "SCRIPT_NAME", "/a.php", "SCRIPT_FILENAME", `ROOT\a.php`)
	add(true, "SCRIPT_NAME", "a.php", "DOCUMENT_ROOT", "ROOT")
	f.Fuzz(func(t *testing.T, wire []byte, fix bool) {
		p, err := decodeFPMParams(wire)
		if err != nil {
			return
		}
		for i := range p.list {
			p.list[i].value = strings.ReplaceAll(p.list[i].value, "ROOT", root)
		}
		c := &fpmScriptConfig{FixPathinfo: fix, LimitExtensions: []string{".php"}, Cache: &scriptCache{}, Pool: &manager.PoolConfig{}}
		script, refusal := c.resolve(p)
		if refusal != nil {
			if refusal.Status < 400 || refusal.Body == "" {
				t.Fatalf("refused with %+v", refusal)
			}
			return
		}
		if !strings.HasSuffix(script.Filename, ".php") || !c.exists(script.Filename) || strings.Contains(script.Filename, "\x00") {
			t.Fatalf("runs %q", script.Filename)
		}
		again, err := decodeFPMParams(p.appendTo(nil))
		if err != nil {
			t.Fatal(err)
		}
		// What php-cgi makes of it (cgi_main.c:init_request_info).
		_, redirected := again.lookup("REDIRECT_URL")
		_, info := again.lookup("PATH_INFO")
		translated, isTranslated := again.lookup("PATH_TRANSLATED")
		runs, isNamed := again.lookup("SCRIPT_FILENAME")
		if !fix && isTranslated || !isNamed {
			runs = translated
		}
		if runs != script.Filename || fix && redirected && (info || isTranslated) {
			t.Fatalf("php-cgi is told %q", p.appendTo(nil))
		}
	})
}
