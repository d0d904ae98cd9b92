package server

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
)

// staticServer serves dir as the router would.
func staticServer(t *testing.T, dir string) *httptest.Server {
	t.Helper()
	root := testRoot(t, dir, docRootOptions{})
	s := newStaticFiles(root)
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, fnd, err := root.open(r.URL.Path)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		defer f.Close()
		s.serve(w, r, f, fnd)
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

func put(t *testing.T, dir, name, content string, mtime time.Time) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, mtime, mtime); err != nil {
		t.Fatal(err)
	}
}

func staticMtime() time.Time { return time.Date(2026, 3, 4, 5, 6, 7, 891234567, time.UTC) }

func TestStaticMethods(t *testing.T) {
	dir := realTempDir(t)
	put(t, dir, "a.txt", "0123456789", staticMtime())
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
			if tt.status == 200 && (resp.ContentLength != 10 || resp.Header.Get("Content-Type") != "text/plain; charset=utf-8" ||
				resp.Header.Get("X-Content-Type-Options") != "nosniff" || resp.Header.Get("Last-Modified") != "Wed, 04 Mar 2026 05:06:07 GMT") {
				t.Errorf("length %d, header %v", resp.ContentLength, resp.Header)
			}
		})
	}
}

func TestStaticConditionsAndRanges(t *testing.T) {
	dir := realTempDir(t)
	put(t, dir, "a.bin", "0123456789", staticMtime())
	put(t, dir, "empty.bin", "", staticMtime())
	ts := staticServer(t, dir)
	first, _ := ask(t, ts, "GET", "/a.bin")
	tag := first.Header.Get("Etag")
	if !strings.HasPrefix(tag, `"`) {
		t.Fatalf("entity tag %q is not strong", tag)
	}
	const date, before, after = "Wed, 04 Mar 2026 05:06:07 GMT", "Wed, 04 Mar 2026 05:06:06 GMT", "Wed, 04 Mar 2026 05:06:08 GMT"
	many := "Range: bytes=0-0" + strings.Repeat(",2-2", 999)
	for _, tt := range []struct {
		name   string
		path   string
		header []string
		status int
		body   string // "*": not compared
	}{
		{"If-None-Match with the tag", "/a.bin", []string{"If-None-Match: " + tag}, 304, ""},
		{"If-None-Match with the weak tag", "/a.bin", []string{"If-None-Match: W/" + tag}, 304, ""},
		{"If-None-Match in a list", "/a.bin", []string{`If-None-Match: "x", ` + tag}, 304, ""},
		{"If-None-Match star", "/a.bin", []string{"If-None-Match: *"}, 304, ""},
		{"If-None-Match with another", "/a.bin", []string{`If-None-Match: "x"`}, 200, "0123456789"},
		{"If-None-Match outranks If-Modified-Since", "/a.bin", []string{`If-None-Match: "x"`, "If-Modified-Since: " + after}, 200, "0123456789"},
		{"If-Modified-Since same", "/a.bin", []string{"If-Modified-Since: " + date}, 304, ""},
		{"If-Modified-Since earlier", "/a.bin", []string{"If-Modified-Since: " + before}, 200, "0123456789"},
		{"If-Match with another", "/a.bin", []string{`If-Match: "x"`}, 412, ""},
		{"If-Unmodified-Since earlier", "/a.bin", []string{"If-Unmodified-Since: " + before}, 412, ""},
		{"range", "/a.bin", []string{"Range: bytes=2-4"}, 206, "234"},
		{"suffix range", "/a.bin", []string{"Range: bytes=-3"}, 206, "789"},
		{"open range", "/a.bin", []string{"Range: bytes=8-"}, 206, "89"},
		{"range beyond the end", "/a.bin", []string{"Range: bytes=10-"}, 416, "*"},
		{"unknown unit is not satisfiable to net/http", "/a.bin", []string{"Range: lines=1-2"}, 416, "*"},
		{"If-Range with the tag", "/a.bin", []string{"Range: bytes=0-0", "If-Range: " + tag}, 206, "0"},
		{"If-Range with the weak tag", "/a.bin", []string{"Range: bytes=0-0", "If-Range: W/" + tag}, 200, "0123456789"},
		{"If-Range with another", "/a.bin", []string{"Range: bytes=0-0", `If-Range: "x"`}, 200, "0123456789"},
		{"If-Range with the date", "/a.bin", []string{"Range: bytes=0-0", "If-Range: " + date}, 206, "0"},
		{"1000 ranges are ignored", "/a.bin", []string{many}, 200, "0123456789"},
		{"33 ranges are ignored", "/a.bin", []string{"Range: bytes=0-0" + strings.Repeat(",2-1", 32)}, 200, "0123456789"},
		{"overlapping ranges that add up to more are ignored (CVE-2011-3192)", "/a.bin", []string{"Range: bytes=0-,0-,0-"}, 200, "0123456789"},
		{"range of an empty file", "/empty.bin", []string{"Range: bytes=0-"}, 200, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resp, body := ask(t, ts, "GET", tt.path, tt.header...)
			if resp.StatusCode != tt.status || tt.body != "*" && body != tt.body {
				t.Errorf("%d %q, want %d %q", resp.StatusCode, body, tt.status, tt.body)
			}
		})
	}
	t.Run("two ranges are multipart", func(t *testing.T) {
		resp, body := ask(t, ts, "GET", "/a.bin", "Range: bytes=0-1,5-6")
		if resp.StatusCode != 206 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "multipart/byteranges; boundary=") ||
			strings.Count(body, "Content-Range: bytes ") != 2 {
			t.Errorf("%d %v %q", resp.StatusCode, resp.Header, body)
		}
	})
}

func TestEtagTellsFilesApart(t *testing.T) {
	at := func(ns int64, size int64, ino uint64) fileInfo {
		return fileInfo{mtime: time.Unix(0, ns), size: size, ino: ino}
	}
	seen := map[string]string{}
	for _, info := range []fileInfo{at(0x12, 0x34, 5), at(0x1, 0x234, 5), at(0x123, 0x4, 5), at(0x12, 0x3, 0x45), at(0x12, 0x34, 6), at(-0x12, 0x34, 5)} {
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
	dir := realTempDir(t)
	put(t, dir, "a.bin", "x", time.Now().Add(24*time.Hour))
	resp, _ := ask(t, staticServer(t, dir), "GET", "/a.bin")
	if resp.Header.Get("Last-Modified") != "" || resp.Header.Get("Etag") == "" {
		t.Errorf("header %v", resp.Header)
	}
}

func TestPrecompressedSiblings(t *testing.T) {
	dir := realTempDir(t)
	old := staticMtime().Add(-time.Second)
	put(t, dir, "app.js", "plain", staticMtime())
	put(t, dir, "app.js.br", "brotli", staticMtime())
	put(t, dir, "app.js.gz", "gzipped", staticMtime())
	put(t, dir, "old.css", "plain", staticMtime())
	put(t, dir, "old.css.gz", "gzipped", old)
	put(t, dir, "none.css", "plain", staticMtime())
	put(t, dir, "a.png", "plain", staticMtime())
	put(t, dir, "a.png.gz", "gzipped", staticMtime())
	put(t, dir, "folder.css", "plain", staticMtime())
	writeFiles(t, dir, "folder.css.gz/")
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
				if tt.encoding != "" && h.Get("Content-Type") != "text/javascript; charset=utf-8" {
					t.Errorf("type %q", h.Get("Content-Type"))
				}
			}
		})
	}
}

func TestEachCodingIsARepresentationOfItsOwn(t *testing.T) {
	dir := realTempDir(t)
	put(t, dir, "app.js", "0123456789", staticMtime())
	put(t, dir, "app.js.gz", "abcdef", staticMtime())
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
	top := realTempDir(t)
	writeFiles(t, top, "www/")
	dir := filepath.Join(top, "www")
	put(t, dir, "app.js", "plain", staticMtime())
	put(t, top, "secret", "secret", staticMtime())
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
