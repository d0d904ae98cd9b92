package server

import (
	"strings"
	"testing"

	"github.com/phpserve/phpserve/server/site"
)

func TestMissingFileIsNotThePageOfAGuessedFrontController(t *testing.T) {
	files := map[string]string{"index.php": "<?php echo 'front';", "a.css": "css", "b.php": "<?php echo 'b', $_SERVER['PATH_INFO'] ?? '';", "x.css/a.txt": "a"}
	eachEngine(t, func(t *testing.T, engine string) {
		guessed := startServer(t, engine, files, func(c *Config) {
			c.Sites[0].FrontController, c.Sites[0].MissingFiles = "index.php", site.DefaultFileExtensions()
		})
		named := startServer(t, engine, files, func(c *Config) { c.Sites[0].FrontController = "index.php" })
		for path, want := range map[string]string{
			"/nope.css": "404", "/img/a.png": "404", "/nope.php": "404", "/nope.php/x": "404", "/a/b.PHP": "404", "/nope.JS": "404", "/app.min.js": "404", "/app.js.map": "404",
			"/favicon.ico": "404", "/robots.txt": "404", "/font.woff2": "404", "/a.pdf": "404", "/a.zip": "404", "/v.mp4": "404", "/x.aspx": "404", "/n%2ecss": "404", "/nope.css?x=y": "404",
			"/wp-login.php": "404", "/.env": "front", "/index.php.bak": "404",
			"/": "front", "/about": "front", "/a/b/": "front", "/user/john.doe": "front", "/v1.2/x": "front", "/sitemap.xml": "front", "/feed.json": "front", "/page.html": "front", "/export.csv": "front",
			"/x.css/": "front", "/nope.css/": "front", "/css": "front", "/a.b.c": "front", "/x?y=/a.css": "front", "/index.php/a.css": "front",
			"/a.css": "css", "/b.php": "b", "/b.php/a.css": "b/a.css",
		} {
			for _, method := range []string{"GET", "POST"} {
				if method == "POST" && path == "/a.css" {
					continue
				}
				for _, ts := range []*testServer{guessed, named} {
					got, want := askWire(t, ts, method, path), want
					if ts == named && want == "404" {
						want = "front"
					}
					text := got.body
					if got.StatusCode != 200 {
						text = got.Status[:3]
					}
					if text != want {
						t.Errorf("guessed %v: %s %s = %q, want %q", ts == guessed, method, path, text, want)
					}
				}
			}
		}
		if page := guessed.get("/nope.css", "Host", "localhost"); !strings.Contains(page.body, "missing_files") {
			t.Errorf("the page does not name the setting: %s", page.body)
		}
	})
}
