package server

import (
	"testing"
)

func TestTextHasNoCharsetUnlessOneIsConfigured(t *testing.T) {
	t.Parallel()
	latin1 := "<meta charset=iso-8859-1>\xe4\xf6\xfc"
	files := map[string]string{"a.html": latin1, "a.txt": "x", "a.svgz": "\x1f\x8b...", "a.svgz.gz": "x", "a.odg": "x", "a.own": "x", "a.json": "{}"}
	for _, tt := range []struct {
		charset string
		want    map[string]string
	}{
		{"", map[string]string{"/a.html": "text/html", "/a.txt": "text/plain", "/a.own": "text/x-own"}},
		{"ISO-8859-1", map[string]string{"/a.html": "text/html; charset=ISO-8859-1", "/a.txt": "text/plain; charset=ISO-8859-1", "/a.own": "text/x-own; charset=ISO-8859-1"}},
	} {
		ts := startServer(t, engines[1], files, func(c *Config) { c.Sites[0].Charset, c.Sites[0].Types = tt.charset, []string{".own=text/x-own"} })
		tt.want["/a.svgz"], tt.want["/a.json"], tt.want["/a.odg"] = "image/svg+xml", "application/json", "application/vnd.oasis.opendocument.graphics"
		for path, want := range tt.want {
			got := ts.get(path, "Accept-Encoding", "gzip")
			coding := map[bool]string{true: "gzip"}[path == "/a.svgz"]
			if got.StatusCode != 200 || got.Header.Get("Content-Type") != want || got.Header.Get("Content-Encoding") != coding || got.body != files[path[1:]] {
				t.Errorf("charset %q, %s: %d %v %q", tt.charset, path, got.StatusCode, got.Header, got.body)
			}
		}
	}
}
