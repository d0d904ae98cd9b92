package server

import "testing"

func TestContentType(t *testing.T) {
	for _, tt := range []struct {
		name, want   string
		compressible bool
	}{
		{"/index.html", "text/html; charset=utf-8", true},
		{"/a.CSS", "text/css; charset=utf-8", true},
		{"/app.js", "text/javascript; charset=utf-8", true},
		{"/app.min.mjs", "text/javascript; charset=utf-8", true},
		{"/a.json", "application/json", true},
		{"/a.svg", "image/svg+xml", true},
		{"/a.txt", "text/plain; charset=utf-8", true},
		{"/feed.xml", "application/xml", true},
		{"/a.wasm", "application/wasm", true},
		{"/site.webmanifest", "application/manifest+json", true},
		{"/a.png", "image/png", false},
		{"/a.JPEG", "image/jpeg", false},
		{"/a.woff2", "font/woff2", false},
		{"/a.tar.gz", "application/gzip", false},
		{"/a.pdf", "application/pdf", false},
		{"/a", octetStream, false},
		{"/a.", octetStream, false},
		{"/a.html/b", octetStream, false},
		{"/a.unheardof", octetStream, false},
		{"/a.averyveryverylongextension", octetStream, false},
		{"/a．php", octetStream, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, compressible := contentType(tt.name); got != tt.want || compressible != tt.compressible {
				t.Errorf("contentType = %q, %v", got, compressible)
			}
		})
	}
}

func TestContentTypeDoesNotAllocate(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { contentType("/a/App.JS") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
