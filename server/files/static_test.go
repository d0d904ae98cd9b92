package files

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/phpserve/phpserve/internal/testfiles"
)

// staticServer serves dir as the router would.
func staticServer(t *testing.T, dir string) *httptest.Server {
	t.Helper()
	root := testRoot(t, dir, Options{})
	s := NewStatic(root, testTypes(t, ""))
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, fnd, err := root.Open(r.URL.Path)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		defer f.Close()
		s.Serve(w, r, f, fnd)
	}))
	t.Cleanup(ts.Close)
	return ts
}

// ask sends one request; header is a list of "Name: value".
func ask(t *testing.T, ts *httptest.Server, method, path string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, ts.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Add(name, value)
	}
	transport := &http.Transport{DisableCompression: true}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func TestStaticMethods(t *testing.T) {
	dir := testfiles.TempDir(t)
	testfiles.PutAt(t, dir, "a.txt", "0123456789", testfiles.Mtime())
	ts := staticServer(t, dir)
	for _, tt := range []struct {
		method string
		status int
		body   string
		allow  string
	}{
		{"GET", 200, "0123456789", ""},
		{"HEAD", 200, "", ""},
		{"OPTIONS", 204, "", staticMethods},
		{"POST", 405, "Method Not Allowed\n", staticMethods},
		{"PUT", 405, "Method Not Allowed\n", staticMethods},
		{"DELETE", 405, "Method Not Allowed\n", staticMethods},
		{"PROPFIND", 405, "Method Not Allowed\n", staticMethods},
	} {
		t.Run(tt.method, func(t *testing.T) {
			resp, body := ask(t, ts, tt.method, "/a.txt")
			if resp.StatusCode != tt.status || body != tt.body || resp.Header.Get("Allow") != tt.allow {
				t.Errorf("%d %q Allow %q", resp.StatusCode, body, resp.Header.Get("Allow"))
			}
			if tt.status == 200 && (resp.ContentLength != 10 || resp.Header.Get("Content-Type") != "text/plain" ||
				resp.Header.Get("X-Content-Type-Options") != "nosniff" || resp.Header.Get("Last-Modified") != "Wed, 04 Mar 2026 05:06:07 GMT") {
				t.Errorf("length %d, header %v", resp.ContentLength, resp.Header)
			}
		})
	}
}

func TestEtagTellsFilesApart(t *testing.T) {
	at := func(ns int64, size int64, ino uint64) Info {
		return Info{mtime: time.Unix(0, ns), size: size, ino: ino}
	}
	seen := map[string]string{}
	for _, info := range []Info{at(0x12, 0x34, 5), at(0x1, 0x234, 5), at(0x123, 0x4, 5), at(0x12, 0x3, 0x45), at(0x12, 0x34, 6), at(-0x12, 0x34, 5)} {
		for encoding := -1; encoding < numCodings; encoding++ {
			tag, what := etag(info, encoding), fmt.Sprintf("%+v %d", info, encoding)
			if other, dup := seen[tag]; dup {
				t.Errorf("%s and %s have the tag %s", what, other, tag)
			}
			seen[tag] = what
		}
	}
}

func TestFutureTimeIsNotSent(t *testing.T) {
	dir := testfiles.TempDir(t)
	testfiles.PutAt(t, dir, "a.bin", "x", time.Now().Add(24*time.Hour))
	resp, _ := ask(t, staticServer(t, dir), "GET", "/a.bin")
	if resp.Header.Get("Last-Modified") != "" || resp.Header.Get("Etag") == "" {
		t.Errorf("header %v", resp.Header)
	}
}

func TestPrecompressedSiblings(t *testing.T) {
	dir := testfiles.TempDir(t)
	old := testfiles.Mtime().Add(-time.Second)
	testfiles.PutAt(t, dir, "app.js", "plain", testfiles.Mtime())
	testfiles.PutAt(t, dir, "app.js.br", "brotli", testfiles.Mtime())
	testfiles.PutAt(t, dir, "app.js.gz", "gzipped", testfiles.Mtime())
	testfiles.PutAt(t, dir, "old.css", "plain", testfiles.Mtime())
	testfiles.PutAt(t, dir, "old.css.gz", "gzipped", old)
	testfiles.PutAt(t, dir, "none.css", "plain", testfiles.Mtime())
	testfiles.PutAt(t, dir, "a.png", "plain", testfiles.Mtime())
	testfiles.PutAt(t, dir, "a.png.gz", "gzipped", testfiles.Mtime())
	testfiles.PutAt(t, dir, "folder.css", "plain", testfiles.Mtime())
	testfiles.PutNames(t, dir, "folder.css.gz/")
	ts := staticServer(t, dir)
	for _, tt := range []struct {
		name, path, accept     string
		status                 int
		body, encoding, length string
		vary                   string
	}{
		{"best one", "/app.js", "gzip, br", 200, "brotli", "br", "6", "Accept-Encoding"},
		{"by weight", "/app.js", "gzip, br;q=0.1", 200, "gzipped", "gzip", "7", "Accept-Encoding"},
		{"one that is missing", "/app.js", "zstd, gzip;q=0.5", 200, "gzipped", "gzip", "7", "Accept-Encoding"},
		{"not accepted", "/app.js", "", 200, "plain", "", "5", "Accept-Encoding"},
		{"identity forbidden", "/app.js", "gzip, identity;q=0", 200, "gzipped", "gzip", "7", "Accept-Encoding"},
		{"nothing acceptable", "/none.css", "gzip, identity;q=0", 406, "Not Acceptable\n", "", "15", "Accept-Encoding"},
		{"older than the file", "/old.css", "gzip", 200, "plain", "", "5", "Accept-Encoding"},
		{"no sibling", "/none.css", "gzip", 200, "plain", "", "5", "Accept-Encoding"},
		{"sibling is a folder", "/folder.css", "gzip", 200, "plain", "", "5", "Accept-Encoding"},
		{"type that is compressed already", "/a.png", "gzip", 200, "plain", "", "5", ""},
		{"sibling asked for by its own name", "/app.js.gz", "gzip", 200, "gzipped", "", "7", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var header []string
			if tt.accept != "" {
				header = append(header, "Accept-Encoding: "+tt.accept)
			}
			for _, method := range []string{"GET", "HEAD"} {
				resp, body := ask(t, ts, method, tt.path, header...)
				want := tt.body
				if method == "HEAD" {
					want = ""
				}
				h := resp.Header
				if resp.StatusCode != tt.status || body != want || h.Get("Content-Encoding") != tt.encoding ||
					h.Get("Content-Length") != tt.length || h.Get("Vary") != tt.vary {
					t.Errorf("%s: %d %q %v", method, resp.StatusCode, body, h)
				}
				if tt.encoding != "" && h.Get("Content-Type") != "text/javascript" {
					t.Errorf("type %q", h.Get("Content-Type"))
				}
			}
		})
	}
}

func TestEachCodingIsARepresentationOfItsOwn(t *testing.T) {
	dir := testfiles.TempDir(t)
	testfiles.PutAt(t, dir, "app.js", "0123456789", testfiles.Mtime())
	testfiles.PutAt(t, dir, "app.js.gz", "abcdef", testfiles.Mtime())
	ts := staticServer(t, dir)
	plain, _ := ask(t, ts, "GET", "/app.js")
	zipped, _ := ask(t, ts, "GET", "/app.js", "Accept-Encoding: gzip")
	plainTag, zippedTag := plain.Header.Get("Etag"), zipped.Header.Get("Etag")
	if plainTag == zippedTag {
		t.Fatalf("both have the tag %s", plainTag)
	}
	for _, tt := range []struct {
		name             string
		header           []string
		status           int
		body, contentRng string
	}{
		{"own tag", []string{"If-None-Match: " + zippedTag}, 304, "", ""},
		{"tag of the other", []string{"If-None-Match: " + plainTag}, 200, "abcdef", ""},
		{"range is of the coded bytes", []string{"Range: bytes=1-2"}, 206, "bc", "bytes 1-2/6"},
		{"If-Range with the other's tag sends all", []string{"Range: bytes=1-2", "If-Range: " + plainTag}, 200, "abcdef", ""},
		{"range beyond the coded end", []string{"Range: bytes=8-9"}, 416, "*", "bytes */6"},
		{"failed condition has no length of a body it has not", []string{"If-Match: " + plainTag}, 412, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resp, body := ask(t, ts, "GET", "/app.js", append(tt.header, "Accept-Encoding: gzip")...)
			if resp.StatusCode != tt.status || tt.body != "*" && body != tt.body || resp.Header.Get("Content-Range") != tt.contentRng ||
				resp.Header.Get("Vary") != "Accept-Encoding" {
				t.Errorf("%d %q %v", resp.StatusCode, body, resp.Header)
			}
			if (tt.status == 200 || tt.status == 206) != (resp.Header.Get("Content-Encoding") == "gzip") && tt.status != 412 {
				t.Errorf("Content-Encoding %q with %d", resp.Header.Get("Content-Encoding"), resp.StatusCode)
			}
		})
	}
}

func TestSiblingThatLeadsOutIsNotServed(t *testing.T) {
	top := testfiles.TempDir(t)
	testfiles.PutNames(t, top, "www/")
	dir := filepath.Join(top, "www")
	testfiles.PutAt(t, dir, "app.js", "plain", testfiles.Mtime())
	testfiles.PutAt(t, top, "secret", "secret", testfiles.Mtime())
	if err := os.Symlink("../secret", filepath.Join(dir, "app.js.gz")); err != nil {
		t.Fatal(err)
	}
	if _, body := ask(t, staticServer(t, dir), "GET", "/app.js", "Accept-Encoding: gzip"); body != "plain" {
		t.Errorf("served %q", body)
	}
}

func TestVaryIsAddedOnce(t *testing.T) {
	for _, tt := range []struct{ before, after string }{
		{"", "Accept-Encoding"}, {"Cookie", "Cookie|Accept-Encoding"}, {"Cookie, accept-encoding", "Cookie, accept-encoding"}, {"*", "*"},
	} {
		h := http.Header{}
		if tt.before != "" {
			h.Set("Vary", tt.before)
		}
		addVary(h)
		if got := strings.Join(h["Vary"], "|"); got != tt.after {
			t.Errorf("%q became %q, want %q", tt.before, got, tt.after)
		}
	}
}
