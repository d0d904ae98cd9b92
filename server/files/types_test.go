package files

import (
	"strings"
	"testing"
)

func testTypes(t *testing.T, charset string, own ...string) Types {
	t.Helper()
	types, err := NewTypes(own, charset)
	if err != nil {
		t.Fatal(err)
	}
	return types
}

func TestMediaTypeIsThatOfTheLastExtension(t *testing.T) {
	types := testTypes(t, "")
	for _, tt := range []struct {
		name, want   string
		compressible bool
	}{
		{"/index.html", "text/html", true},
		{"/a.CSS", "text/css", true},
		{"/app.js", "text/javascript", true},
		{"/app.min.mjs", "text/javascript", true},
		{"/a.cjs", "text/javascript", true},
		{"/a.json", "application/json", true},
		{"/app.js.map", "application/json", true},
		{"/a.svg", "image/svg+xml", true},
		{"/a.txt", "text/plain", true},
		{"/a.md", "text/markdown", true},
		{"/feed.xml", "application/xml", true},
		{"/feed.rss", "application/rss+xml", true},
		{"/a.wasm", "application/wasm", true},
		{"/site.webmanifest", "application/manifest+json", true},
		{"/a.ttf", "font/ttf", true},
		{"/favicon.ico", "image/vnd.microsoft.icon", true},
		{"/a.png", "image/png", false},
		{"/a.JPEG", "image/jpeg", false},
		{"/a.jfif", "image/jpeg", false},
		{"/a.avif", "image/avif", false},
		{"/a.webp", "image/webp", false},
		{"/a.woff", "font/woff", false},
		{"/a.woff2", "font/woff2", false},
		{"/a.mp4", "video/mp4", false},
		{"/a.m4v", "video/mp4", false},
		{"/a.mp3", "audio/mpeg", false},
		{"/a.ogg", "audio/ogg", false},
		{"/a.tar.gz", "application/gzip", false},
		{"/a.tgz", "application/gzip", false},
		{"/a.zip", "application/zip", false},
		{"/a.pdf", "application/pdf", false},
		{"/a.odg", "application/vnd.oasis.opendocument.graphics", false},
		{"/a.odt", "application/vnd.oasis.opendocument.text", false},
		{"/a.odf", "application/vnd.oasis.opendocument.formula", false},
		{"/a.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document", false},
		{"/a.dotx", "application/vnd.openxmlformats-officedocument.wordprocessingml.template", false},
		{"/a.wbmp", "image/vnd.wap.wbmp", false},
		{"/a.jnlp", "application/x-java-jnlp-file", false},
		{"/a.djvu", "image/vnd.djvu", false},
		{"/a.xul", "application/vnd.mozilla.xul+xml", true},
		{"/a", octetStream, false},
		{"/a.", octetStream, false},
		{"/a.html/b", octetStream, false},
		{"/a.unheardof", octetStream, false},
		{"/a." + strings.Repeat("x", 100), octetStream, false},
		{"/a．php", octetStream, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := types.of(tt.name); got.name != tt.want || got.compressible != tt.compressible || got.encoding != "" {
				t.Errorf("%+v, want %s, %v", got, tt.want, tt.compressible)
			}
		})
	}
	if got := types.of("/a.svgz"); got != (mediaType{"image/svg+xml", false, "gzip"}) {
		t.Errorf("svgz: %+v", got)
	}
}

func TestTypesAndCharsetOfTheConfiguration(t *testing.T) {
	types := testTypes(t, "iso-8859-1", ".log=text/plain", "New=application/x-new", ".HTML=text/html; charset=utf-8", ".json=application/json")
	for name, want := range map[string]string{
		"/a.txt": "text/plain; charset=iso-8859-1", "/a.css": "text/css; charset=iso-8859-1", "/a.log": "text/plain; charset=iso-8859-1",
		"/a.html": "text/html; charset=utf-8", "/a.htm": "text/html; charset=iso-8859-1", "/a.new": "application/x-new",
		"/a.json": "application/json", "/a.xml": "application/xml", "/a.png": "image/png",
	} {
		if got := types.of(name).name; got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for _, bad := range []string{"", "odg", ".odg=", "=text/plain", ".a.b=text/plain", ".odg=text", ".odg=text/", ".odg=text/plain; charset", ".odg=a b/c", "*.x=text/plain", ".x=text/plain\r\nA: b"} {
		if _, err := NewTypes([]string{bad}, ""); err == nil {
			t.Errorf("types accept %q", bad)
		}
	}
	for charset, ok := range map[string]bool{"": true, "utf-8": true, "ISO-8859-1": true, "windows-1252": true, "utf 8": false, `"x"`: false, "a;b": false, "a\n": false} {
		if err := ValidCharset(charset); (err == nil) != ok {
			t.Errorf("charset %q: %v", charset, err)
		}
	}
}

func TestMediaTypeDoesNotAllocate(t *testing.T) {
	types := testTypes(t, "")
	if n := testing.AllocsPerRun(100, func() { types.of("/a/App.JS") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkNewMediaTypes(b *testing.B) {
	for b.Loop() {
		if _, err := NewTypes(nil, ""); err != nil {
			b.Fatal(err)
		}
	}
}
