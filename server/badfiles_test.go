package server

import (
	"maps"
	"net/url"
	"strings"
	"testing"

	"github.com/phpserve/phpserve/server/files"
)

// leftBehind has one file for every pattern of DefaultDeny and the best known names.
func leftBehind() []string {
	names := []string{
		".env", ".env.local", ".git/config", ".git/HEAD", ".gitignore", ".svn/entries", ".hg/hgrc", ".htaccess", ".htpasswd", ".user.ini",
		".DS_Store", ".ssh/id_rsa", ".aws/credentials", ".vscode/settings.json", ".index.php.swp", "sub/.env", "index.php~", "index.php.bak",
		"index.php.old", "index.php.orig", "index.php.save", "index.php.swp", "index.php.1", "wp-config.php.txt", "wp-config.php.bak",
		"dump.sql", "dump.sql.gz", "DUMP.SQL", "debug.log", "error_log", "db.sqlite", "composer.json", "Composer.JSON", "composer.lock",
		"sub/composer.json", "vendor/autoload.php", "vendor/x/readme.txt", "phar.phar", "a.phtml", "a.inc", "a.php5", "a.phps", "id_rsa",
		".well-known/.env",
	}
	for _, pattern := range files.DefaultDeny() {
		name := strings.NewReplacer("*", "x", "?", "1").Replace(strings.TrimPrefix(pattern, "/"))
		if strings.HasSuffix(name, "/") {
			name = strings.Replace(name, "x", "folder", 1) + "file.txt"
		}
		names = append(names, name)
	}
	return append(names, "x.php.gz", "x.php.br", "conf.php.zip", "conf.php.new", "conf.PHP.bz2", "lib/db.inc.1", "view.phtml.zip")
}

func TestBadInputProtectedFilesAreNeverServed(t *testing.T) {
	t.Parallel()
	for name, frontController := range map[string]string{"without": "", "with front controller": "index.php"} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{"index.php": tellScript}
			for _, name := range leftBehind() {
				files[name] = "SECRET SOURCE"
			}
			served := map[string]string{
				".well-known/acme-challenge/token": "token", ".well-known/security.txt": "contact", "assets/vendor/jquery.js": "js",
				"changelog.txt": "x", "a.b.css": "css", "a.b.css.gz": "gz", "jquery.php-parser.js": "js",
			}
			maps.Copy(files, served)
			ts := startServer(t, engines[1], files, func(c *Config) { c.Sites[0].FrontController = frontController })
			for _, name := range leftBehind() {
				path := (&url.URL{Path: "/" + name}).EscapedPath()
				for _, target := range []string{path, "/" + path, "/." + path, "/" + strings.ReplaceAll(path, "/", "%2f"), path + "/", path + "/x.php"} {
					got := askWire(t, ts, "GET", target)
					if strings.Contains(got.body, "SECRET") {
						t.Errorf("GET %s = %d %q", target, got.StatusCode, got.body)
					}
					if target == path && got.StatusCode != 404 {
						t.Errorf("GET %s = %d, want 404 as for what does not exist", target, got.StatusCode)
					}
				}
			}
			for name, text := range served {
				if got := askWire(t, ts, "GET", "/"+name); got.StatusCode != 200 || got.body != text {
					t.Errorf("GET /%s = %d %q", name, got.StatusCode, got.body)
				}
			}
		})
	}
}

func TestBadInputFolderRedirectStaysOnTheSite(t *testing.T) {
	t.Parallel()
	ts := startServer(t, engines[1], map[string]string{"sub/index.html": "x", "evil.test/index.html": "x", "sub/deep/a.txt": "x"}, nil)
	for _, tt := range []struct{ target, location string }{
		{"/sub", "/sub/"},
		{"/sub?a=b&c=%0d%0a", "/sub/?a=b&c=%0d%0a"},
		{"//evil.test", "/evil.test/"},
		{"//evil.test/../sub", "/sub/"},
		{"///evil.test", "/evil.test/"},
		{"/%2fevil.test", "/evil.test/"},
		{"/%2f%2fevil.test", "/evil.test/"},
		{"//sub//deep", "/sub/deep/"},
		{"/./sub", "/sub/"},
		{"/.//evil.test", "/evil.test/"},
		{"/sub/..//evil.test", "/evil.test/"},
		{"http://evil.test/sub", "/sub/"},
	} {
		got := askWire(t, ts, "GET", tt.target)
		if got.StatusCode != 301 || got.Header.Get("Location") != tt.location {
			t.Errorf("GET %s = %d, Location %q, want %q", tt.target, got.StatusCode, got.Header.Get("Location"), tt.location)
		}
	}
	for _, target := range []string{
		"//evil.test/..", "//evil.test/%2e%2e", `/\evil.test`, `/%5cevil.test`, `/%5c%5cevil.test/..`, "//user@evil.test/..", "/sub%0d%0aSet-Cookie:%20a=b",
		"//sub/%0aLocation:x", "https:evil.test", "//evil.test%2f..",
	} {
		got := askWire(t, ts, "GET", target)
		if l := got.Header.Get("Location"); got.StatusCode < 400 && got.StatusCode != 301 || strings.HasPrefix(l, "//") || strings.Contains(l, `\`) || strings.Contains(l, ":") {
			t.Errorf("GET %s = %d, Location %q", target, got.StatusCode, l)
		}
	}
	if got := askWire(t, ts, "POST", "/sub"); got.StatusCode != 308 {
		t.Errorf("POST /sub = %d, want 308, which keeps the method", got.StatusCode)
	}
}
