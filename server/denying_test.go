package server

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/phpserve/phpserve/internal/testfiles"
	"github.com/phpserve/phpserve/server/files"
)

// TestVendorIsDeniedFromTheMomentThatItIsComposers, and whenever the operator says so.
func TestVendorIsDeniedFromTheMomentThatItIsComposers(t *testing.T) {
	t.Parallel()
	for _, sign := range []string{"composer.json", "vendor/autoload.php", "vendor/composer/installed.json"} {
		t.Run(sign, func(t *testing.T) {
			site := map[string]string{"index.php": tellScript, "vendor/telescope/app.js": "asset", "vendor/index.html": "index"}
			guessed := startServer(t, engines[1], site, nil)
			written := startServer(t, engines[1], site, func(c *Config) { c.Sites[0].Deny = []string{files.DenyDefault, "/vendor/"} })
			for _, path := range []string{"/vendor/telescope/app.js", "/VENDOR/telescope/app.js", "//vendor/telescope/app.js", "/vendor/", "/vendor/index.html", "/vendor/telescope/app.js/"} {
				exists := !strings.HasPrefix(path, "/VENDOR") && !strings.HasSuffix(path, "js/")
				if got := askWire(t, guessed, "GET", path); (got.StatusCode == 200) != exists {
					t.Errorf("before: GET %s = %d", path, got.StatusCode)
				}
				if got := askWire(t, written, "GET", path); got.StatusCode != 404 {
					t.Errorf("written by the operator: GET %s = %d", path, got.StatusCode)
				}
			}
			testfiles.Put(t, guessed.root, map[string]string{sign: "{}"})
			for _, path := range []string{"/vendor/telescope/app.js", "/vendor/", "/vendor", "/vendor/index.html", "/vendor/autoload.php"} {
				if got := askWire(t, guessed, "GET", path); got.StatusCode != 404 {
					t.Errorf("after: GET %s = %d", path, got.StatusCode)
				}
			}
			if err := os.RemoveAll(filepath.Join(guessed.root, strings.TrimSuffix(sign, "/installed.json"))); err != nil {
				t.Fatal(err)
			}
			if got := askWire(t, guessed, "GET", "/vendor/telescope/app.js"); got.StatusCode != 200 {
				t.Errorf("when Composer is gone: %d", got.StatusCode)
			}
		})
	}
}

// TestDeniedNamesHaveNoOtherWay: index files, precompressed siblings, folders of that name, PATH_INFO and odd spellings.
func TestDeniedNamesHaveNoOtherWay(t *testing.T) {
	t.Parallel()
	ts := startServer(t, engines[1], map[string]string{
		"a/data.sqlite": "SECRET", "a.css": "css", "a.css.gz": "gz", "x.sql": "SECRET", "x.sql.gz": "SECRET", "x.php (copy)": "SECRET", "dockerfile/a.css": "asset",
		"dockerfile/index.html": "index", "b/dockerfile": "SECRET", "backup.old/index.html": "SECRET", "c/config.php_orig": "SECRET", "index.php": tellScript,
	}, func(c *Config) { c.Sites[0].Index = []string{"data.sqlite", "index.html"} })
	past := time.Now().Add(-time.Hour) // a sibling that is older than its file is not served
	if err := os.Chtimes(filepath.Join(ts.root, "a.css"), past, past); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/a/", "/a", "/a/data.sqlite", "/x.sql", "/x.sql.gz", "/x.php (copy)", "/b/dockerfile", "/b/dockerfile/x", "/backup.old/", "/backup.old", "/c/config.php_orig", "/c/config.php_orig/x", "/c/config.php_orig/x.php"} {
		escaped := (&url.URL{Path: path}).EscapedPath()
		for _, target := range []string{escaped, "/" + escaped, escaped + "?x", strings.ReplaceAll(escaped, "/", "//"), escaped + "%20", escaped + "."} {
			for _, coding := range []string{"gzip", "identity"} {
				if got := askWire(t, ts, "GET", target, "Accept-Encoding", coding); strings.Contains(got.body, "SECRET") || got.StatusCode == 200 {
					t.Errorf("GET %s = %d %q", target, got.StatusCode, got.body)
				}
			}
		}
	}
	for path, want := range map[string]string{"/dockerfile/a.css": "asset", "/dockerfile/": "index", "/a.css": "gz"} {
		if got := askWire(t, ts, "GET", path, "Accept-Encoding", "gzip"); got.body != want {
			t.Errorf("GET %s = %d %q", path, got.StatusCode, got.body)
		}
	}
}
