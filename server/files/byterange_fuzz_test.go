package files

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// FuzzRanges: whatever Range and conditions are, an answer is whole: its length is what is sent, each part is the bytes that it says,
// all parts together are no more than the file, and an answer without a body has a status that says so.
func FuzzRanges(f *testing.F) {
	const tag = `"2-abc"`
	for _, s := range [][4]string{
		{"bytes=0-4", "", "", ""},
		{"bytes=-3,0-1", tag, "", ""},
		{"bytes=5-", "", tag, ""},
		{"BYTES = 1-1 , 3-3", "", "*", ""},
		{"bytes=-0", "", "", ""},
		{"bytes=99999999999999999999-", "", `W/` + tag, ""},
		{"bytes=2-1", "", `"x", ` + tag, ""},
		{"lines=1-2", "", "", tag},
		{"bytes=0-0,0-0", "W/" + tag, "", "*"},
		{"bytes=1-18446744073709551616", "Sun, 06 Nov 1994 08:49:37 GMT", "", ""},
		{"", "", "", `"y"`},
		{"bytes=" + strings.Repeat("0-0,", 40), "", "", ""},
	} {
		f.Add(s[0], s[1], s[2], s[3], uint8(10))
	}
	dir := f.TempDir()
	all := bytes.Repeat([]byte("0123456789abcdef"), 16)
	f.Fuzz(func(t *testing.T, ranges, ifRange, ifNoneMatch, ifMatch string, size uint8) {
		content := all[:size]
		name := filepath.Join(dir, strconv.Itoa(int(size)))
		if _, err := os.Stat(name); err != nil {
			if err := os.WriteFile(name, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		file, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		for name, value := range map[string]string{"Range": ranges, "If-Range": ifRange, "If-None-Match": ifNoneMatch, "If-Match": ifMatch} {
			if value != "" {
				r.Header[name] = []string{value}
			}
		}
		w := httptest.NewRecorder()
		serveRepresentation(w, r, file, Info{size: int64(size), mtime: time.Unix(784111777, 0)}, mediaType{name: "text/plain"}, tag)
		h, body := w.Result().Header, w.Body.Bytes()
		if length := h.Get("Content-Length"); length != "" && length != strconv.Itoa(len(body)) {
			t.Fatalf("%d: %d bytes, Content-Length %s", w.Code, len(body), length)
		}
		switch w.Code {
		case http.StatusOK:
			if !bytes.Equal(body, content) || h.Get("Content-Range") != "" {
				t.Fatalf("200 with %q, %v", body, h)
			}
		case http.StatusPartialContent:
			parts := readParts(t, h, body)
			total := 0
			for contentRange, part := range parts {
				span, of, _ := strings.Cut(strings.TrimPrefix(contentRange, "bytes "), "/")
				first, last, _ := strings.Cut(span, "-")
				from, err1 := strconv.Atoi(first)
				to, err2 := strconv.Atoi(last)
				if err1 != nil || err2 != nil || of != strconv.Itoa(int(size)) || from > to || to >= int(size) || part != string(content[from:to+1]) {
					t.Fatalf("%q of %d bytes is %q", contentRange, size, part)
				}
				total += len(part)
			}
			if total == 0 || total > int(size) {
				t.Fatalf("%d bytes in parts of %d", total, size)
			}
		case http.StatusNotModified, http.StatusPreconditionFailed, http.StatusRequestedRangeNotSatisfiable:
			if len(body) > 0 || w.Code == http.StatusRequestedRangeNotSatisfiable && h.Get("Content-Range") != "bytes */"+strconv.Itoa(int(size)) {
				t.Fatalf("%d with %q, %v", w.Code, body, h)
			}
		default:
			t.Fatalf("status %d", w.Code)
		}
	})
}

// readParts are the parts of a 206, by their Content-Range. Parts that are the same count once.
func readParts(t *testing.T, h http.Header, body []byte) map[string]string {
	t.Helper()
	kind, params, _ := mime.ParseMediaType(h.Get("Content-Type"))
	if kind != "multipart/byteranges" {
		return map[string]string{h.Get("Content-Range"): string(body)}
	}
	parts, r := map[string]string{}, multipart.NewReader(bytes.NewReader(body), params["boundary"])
	for {
		p, err := r.NextRawPart()
		if err == io.EOF {
			return parts
		}
		if err != nil {
			t.Fatalf("%v in %q", err, body)
		}
		text, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		parts[p.Header.Get("Content-Range")] = string(text)
	}
}
