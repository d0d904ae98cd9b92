package server

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFolderIsARouteUnlessItHasAnIndexFile: a route that is named like a folder reaches the front controller, with or without
// its slash, and never loops.
func TestFolderIsARouteUnlessItHasAnIndexFile(t *testing.T) {
	const front = `<?php echo "front ", $_SERVER['REQUEST_METHOD'], " ", $_SERVER['REQUEST_URI'];`
	files := map[string]string{
		"index.php": front, "services/a.css": "css", "services/deep/b.css": "css", "both/x.css": "css", "both.php": "<?php echo 'both';",
		"docs/index.html": "docs", "admin/index.php": "<?php echo 'admin';", "admin/empty/x.css": "css",
		"x.php/y.css": "css", "indexfolder/index.php/x": "x", "secret/.env": "x",
	}
	eachEngine(t, func(t *testing.T, engine string) {
		with := startServer(t, engine, files, func(c *Config) { c.Sites[0].FrontController = "index.php" })
		without := startServer(t, engine, files, nil)
		for _, ts := range []*testServer{with, without} {
			if err := os.Symlink("services", filepath.Join(ts.root, "link")); err != nil {
				t.Fatal(err)
			}
		}
		for _, tt := range []struct{ method, target, with, without string }{
			{"GET", "/services", "front GET /services", "301 /services/"},
			{"GET", "/services/", "front GET /services/", "404"},
			{"GET", "/services?a=b%20c", "front GET /services?a=b%20c", "301 /services/?a=b%20c"},
			{"POST", "/services", "front POST /services", "308 /services/"},
			{"POST", "/services/?a", "front POST /services/?a", "404"},
			{"HEAD", "/services", "200", "301 /services/"},
			{"PUT", "/services", "front PUT /services", "308 /services/"},
			{"GET", "/services/deep", "front GET /services/deep", "301 /services/deep/"},
			{"GET", "/services//deep", "front GET /services//deep", "301 /services/deep/"},
			{"GET", "/link", "front GET /link", "301 /link/"},
			{"GET", "/link/", "front GET /link/", "404"},
			{"GET", "/both", "front GET /both", "301 /both/"},
			{"GET", "/both/", "front GET /both/", "404"},
			{"GET", "/both.php", "both", "both"},
			{"GET", "/x.php", "front GET /x.php", "301 /x.php/"},
			{"GET", "/indexfolder", "front GET /indexfolder", "301 /indexfolder/"},
			{"GET", "/secret", "front GET /secret", "301 /secret/"},
			// An index file makes a folder a page.
			{"GET", "/docs", "301 /docs/", "301 /docs/"},
			{"GET", "/docs/", "docs", "docs"},
			{"GET", "/admin", "301 /admin/", "301 /admin/"},
			{"GET", "/admin?a=1", "301 /admin/?a=1", "301 /admin/?a=1"},
			{"POST", "/admin", "308 /admin/", "308 /admin/"},
			{"GET", "/admin/", "admin", "admin"},
			{"GET", "/admin/empty", "front GET /admin/empty", "301 /admin/empty/"},
		} {
			for _, side := range []struct {
				ts   *testServer
				want string
			}{{with, tt.with}, {without, tt.without}} {
				got := askWire(t, side.ts, tt.method, tt.target)
				text := got.body
				switch {
				case got.StatusCode == http.StatusMovedPermanently || got.StatusCode == http.StatusPermanentRedirect:
					text = got.Status[:3] + " " + got.Header.Get("Location")
				case got.StatusCode != http.StatusOK || tt.method == "HEAD":
					text = got.Status[:3]
				}
				if strings.TrimSpace(text) != side.want {
					t.Errorf("front controller %q: %s %s = %q, want %q", side.ts.cfg.Sites[0].FrontController, tt.method, tt.target, text, side.want)
				}
			}
		}
	})
}
