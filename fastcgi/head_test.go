package fastcgi

import (
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

func TestParseHeadReadsWhatRFC3875Allows(t *testing.T) {
	tests := []struct {
		name   string
		head   string
		status int
		reason string
		header http.Header
	}{
		{
			"php's usual head", "X-Powered-By: PHP/8.2\r\nContent-type: text/html; charset=UTF-8\r\n\r\n", 200, "",
			http.Header{"X-Powered-By": {"PHP/8.2"}, "Content-Type": {"text/html; charset=UTF-8"}},
		},
		{"LF lines", "A: 1\nB: 2\n\n", 200, "", http.Header{"A": {"1"}, "B": {"2"}}},
		{"mixed line ends", "A: 1\r\nB: 2\n\r\n", 200, "", http.Header{"A": {"1"}, "B": {"2"}}},
		{"no field at all", "\r\n", 200, "", http.Header{}},
		{"Status with reason", "Status: 404 Not Found\r\n\r\n", 404, "Not Found", http.Header{}},
		{"Status without reason", "status:503\r\n\r\n", 503, "", http.Header{}},
		{"first of two Status lines", "Status: 404 Not Found\r\nStatus: 200 OK\r\n\r\n", 404, "Not Found", http.Header{}},
		{"Location alone", "Location: /a\r\n\r\n", 302, "", http.Header{"Location": {"/a"}}},
		{"Location with Status", "Location: /a\r\nStatus: 301 Moved\r\n\r\n", 301, "Moved", http.Header{"Location": {"/a"}}},
		{"Location with Status before", "Status: 201 Created\r\nLocation: /a\r\n\r\n", 201, "Created", http.Header{"Location": {"/a"}}},
		{"highest status of HTTP", "Status: 599\r\n\r\n", 599, "", http.Header{}},
		{"status that is none of HTTP", "Status: 999 Odd\r\n\r\n", 999, "Odd", http.Header{}},
		{"status with a tab", "Status: 404\tX\r\n\r\n", 404, "X", http.Header{}},
		{"status with two spaces", "Status: 404  X\r\n\r\n", 404, "X", http.Header{}},
		{"status with a letter", "Status: 404x\r\n\r\n", 404, "", http.Header{}},
		{"status with a comma", "Status: 404, X\r\n\r\n", 404, "", http.Header{}},
		{"status of IIS", "Status: 404.5 X\r\n\r\n", 404, "", http.Header{}},
		{"status with a zero before it", "Status: 0404 X\r\n\r\n", 404, "X", http.Header{}},
		{"status line without a reason", "HTTP/2 404\r\n\r\n", 404, "", http.Header{}},
		{"status line with a letter", "HTTP/1.1 404x\r\n\r\n", 404, "", http.Header{}},
		{"status line of cgi.rfc2616_headers", "HTTP/1.1 404 Nope\r\nA: 1\r\n\r\n", 404, "Nope", http.Header{"A": {"1"}}},
		{"folded lines", "A: x\r\n y\r\n\tz: 1\r\nB: 2\r\n\r\n", 200, "", http.Header{"A": {"x y z: 1"}, "B": {"2"}}},
		{
			"duplicates keep their order", "Set-Cookie: b=2\nX: 1\nset-cookie: a=1\nSet-Cookie: b=3\n\n", 200, "",
			http.Header{"Set-Cookie": {"b=2", "a=1", "b=3"}, "X": {"1"}},
		},
		{"white space around the value", "A: \t x y \t\r\nB:\r\n\r\n", 200, "", http.Header{"A": {"x y"}, "B": {""}}},
		{"colon and high bytes in the value", "A: b:c\xff\r\n\r\n", 200, "", http.Header{"A": {"b:c\xff"}}},
		{"every character of a token", "!#$%&'*+-.^_`|~09azAZ: x\r\n\r\n", 200, "", http.Header{"!#$%&'*+-.^_`|~09azaz": {"x"}}},
		{
			"hop-by-hop fields removed", "Connection: close, X-Secret\r\nX-Secret: 1\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nTE: x\r\n" +
				"Trailer: x\r\nTransfer-Encoding: chunked\r\nUpgrade: h2c\r\nconnection: x-other\r\nX-Other: 1\r\nX-Kept: 1\r\n\r\n", 200, "",
			http.Header{"X-Kept": {"1"}},
		},
		{"length with a sign is left out", "Content-Length: +9\r\nA: 1\r\n\r\n", 200, "", http.Header{"A": {"1"}}},
		{"length with a minus is left out", "Content-Length: -0\r\n\r\n", 200, "", http.Header{}},
		{"length that is a word is left out", "Content-Length: abc\r\n\r\n", 200, "", http.Header{}},
		{"length without a value is left out", "Content-Length:\r\n\r\n", 200, "", http.Header{}},
		{"length over 63 bits is left out", "Content-Length: 9223372036854775808\r\n\r\n", 200, "", http.Header{}},
		{"list of lengths is left out", "Content-Length: 5, 5\r\n\r\n", 200, "", http.Header{}},
		{"length that is none does not count", "Content-Length: 0x5\r\nContent-Length: 5\r\n\r\n", 200, "", http.Header{"Content-Length": {"5"}}},
		{
			"fields with control characters are left out", "A: x\x01y\r\nB: \x0b\r\nC: x\x7f\r\nD: \x1b[0m\r\nE: x\x08\r\nF: x\ty\r\nG: 1\r\nG: \x02\r\n\r\n", 200, "",
			http.Header{"F": {"x\ty"}, "G": {"1"}},
		},
		{
			"of single fields that differ all but the last are left out", "Content-Type: a/b\nETag: \"a\"\nLocation: /a\nLast-Modified: a\nContent-Range: a\n" +
				"Content-Type: c/d\nETag: \"b\"\nLocation: /b\nLast-Modified: b\nContent-Range: b\nStatus: 200\n\n", 200, "",
			http.Header{"Content-Type": {"c/d"}, "Etag": {`"b"`}, "Location": {"/b"}, "Last-Modified": {"b"}, "Content-Range": {"b"}},
		},
		{"single fields that are equal become one", "Content-Type: a/b\nContent-type: a/b\n\n", 200, "", http.Header{"Content-Type": {"a/b"}}},
		{"other fields may come twice", "Vary: a\nVary: a\nX: 1\nX: 1\n\n", 200, "", http.Header{"Vary": {"a", "a"}, "X": {"1", "1"}}},
		{"equal lengths become one", "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", 200, "", http.Header{"Content-Length": {"5"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, n, done, err := ParseHead([]byte(tt.head+"body\n\nmore"), len(tt.head))
			if err != nil || !done || n != len(tt.head) {
				t.Fatalf("n %d, done %v, %v", n, done, err)
			}
			h.Names = nil // have a test of their own
			if len(h.Dropped) > 0 != strings.Contains(tt.name, "left out") && !strings.Contains(tt.name, "does not count") {
				t.Errorf("dropped %q", h.Dropped)
			}
			h.Dropped = nil
			if want := (Head{Status: tt.status, Reason: tt.reason, Header: tt.header}); !reflect.DeepEqual(h, want) {
				t.Errorf("got %v, want %v", h, want)
			}
			for cut := range len(tt.head) {
				if _, n, done, err := ParseHead([]byte(tt.head[:cut]), 1000); n != 0 || done || err != nil {
					t.Fatalf("first %d bytes: %d %v %v", cut, n, done, err)
				}
			}
		})
	}
}

func TestParseHeadLeavesOutWhatNoClientMayBeSent(t *testing.T) {
	a1 := http.Header{"A": {"1"}}
	tests := []struct {
		name, line string
		dropped    string
	}{
		{"line without a colon", "nonsense", "without a colon"},
		{"status line without a status", "HTTP/1.1", "a status"},
		{"empty name", ": x", "a name"},
		{"space before the colon", "A : x", "a name"},
		{"space in the name", "A b: x", "a name"},
		{"bracket in the name", "A(b): x", "a name"},
		{"high byte in the name", "\xc3\xa4: x", "a name"},
		{"NUL in the name", "B\x00: x", "a name"},
		{"CR in the name", "B\r: x", "a name"},
		{"NUL in the value", "B: x\x00y", "control character"},
		{"CR in the value", "B: x\rSet-Cookie: y", "control character"},
		{"CR before CRLF", "B: x\r", "control character"},
		{"control character in the value", "B: x\x1b[0m", "control character"},
		{"status 100", "Status: 100 Continue", "a status"},
		{"status 199", "Status: 199", "a status"},
		{"status 0", "Status: 0 X", "a status"},
		{"status 99", "Status: 99", "a status"},
		{"status of four digits", "Status: 2000", "a status"},
		{"status of twenty digits", "Status: 18446744073709551816", "a status"},
		{"empty status", "Status:", "a status"},
		{"status that is no number", "Status: OK", "a status"},
		{"signed status", "Status: +200", "a status"},
		{"status below zero", "Status: -404", "a status"},
		{"status of two digits", "Status: 20", "a status"},
		{"zeros", "Status: 000", "a status"},
		{"status with a control character", "Status: 40\x004", "a status"},
		{"lengths that differ", "Content-Length: 5\r\nContent-Length: 6", "lengths that differ"},
		{"a field over the limit", "B: " + strings.Repeat("x", 1000), "more than 1000 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, head := range []string{"A: 1\r\n" + tt.line + "\r\n\r\n", tt.line + "\r\nA: 1\r\n\r\n"} {
				h, n, done, err := ParseHead([]byte(head+"body"), 1000)
				if err != nil || !done || n != len(head) || h.Status != 200 || !reflect.DeepEqual(h.Header, a1) {
					t.Errorf("got %v, %d %v %v", h, n, done, err)
				}
				if len(h.Dropped) != 1 || !strings.Contains(h.Dropped[0], tt.dropped) || len(h.Dropped[0]) > 400 {
					t.Errorf("dropped %q, want %q", h.Dropped, tt.dropped)
				}
			}
		})
	}
	t.Run("a folded line that continues nothing", func(t *testing.T) {
		for _, head := range []string{" x\r\nA: 1\r\n\r\n", "A: 1\r\nB\x00: x\r\n y\r\n\r\n"} {
			if h, _, done, err := ParseHead([]byte(head), 1000); err != nil || !done || !reflect.DeepEqual(h.Header, a1) || len(h.Dropped) == 0 {
				t.Errorf("%q: got %v %v %v", head, h, done, err)
			}
		}
	})
	t.Run("what is left out is told up to a limit", func(t *testing.T) {
		h, _, _, err := ParseHead([]byte(strings.Repeat("x\n", 400)+"\n"), 1000)
		if err != nil || len(h.Dropped) != maxDropped {
			t.Errorf("got %d, %v", len(h.Dropped), err)
		}
	})
	t.Run("a reason with a control character", func(t *testing.T) {
		if h, _, _, err := ParseHead([]byte("Status: 404 a\x1bb\r\n\r\n"), 1000); err != nil || h.Status != 404 || h.Reason != "" {
			t.Errorf("got %v %v", h, err)
		}
	})
}

func TestParseHeadKeepsNamesAsTheScriptSpelledThem(t *testing.T) {
	h, _, _, err := ParseHead([]byte("DAV: 1\nETag: x\ncontent-type: a/b\nX-Plain: y\nx-foo: 1\nX-Foo: 2\ncontent-length: 3\n\n"), 1000)
	if want := map[string]string{"Dav": "DAV", "Etag": "ETag", "X-Foo": "x-foo"}; err != nil || !reflect.DeepEqual(h.Names, want) {
		t.Errorf("got %v, %v", h.Names, err)
	}
}

func TestParseHeadKeepsToItsLimit(t *testing.T) {
	const limit = 100
	most := strings.Repeat("A: 1\n", headSlack*limit/5)
	for name, tt := range map[string]struct {
		p         string
		done, bad bool
	}{
		"whole head of the most":  {most[:headSlack*limit-5] + "A:1\n\n", true, false},
		"whole head of one more":  {most + "\n", false, true},
		"part of the most":        {most, false, false},
		"part of one more":        {most + "A", false, true},
		"fields within the limit": {"A: 1\r\n" + strings.Repeat("B: 2\r\n", 10) + "\r\nbody", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			h, _, done, err := ParseHead([]byte(tt.p), limit)
			var e *HeadError
			if done != tt.done || errors.As(err, &e) != tt.bad {
				t.Errorf("got %v %v", done, err)
			}
			size := 0
			for name, values := range h.Header {
				for _, v := range values {
					size += len(name) + len(v) + 3
				}
			}
			if size > limit {
				t.Errorf("kept %d bytes", size)
			}
		})
	}
}

func FuzzParseHead(f *testing.F) {
	f.Add([]byte("X-Powered-By: PHP/8.2\r\nContent-type: text/html; charset=UTF-8\r\n\r\nbody"), 1000)
	f.Add([]byte("Status: 404 Not Found\nConnection: X\nX: 1\n\n"), 1000)
	f.Add([]byte("Location: /a\r\nA: x\r\n y\r\n\r\n"), 20)
	f.Add([]byte("\n"), 0)
	f.Add([]byte("A: x\rB: y\r\n\r\n"), 100)
	f.Fuzz(func(t *testing.T, p []byte, limit int) {
		if limit < 0 || limit > 1<<20 {
			return
		}
		h, n, done, err := ParseHead(p, limit)
		var e *HeadError
		switch {
		case err != nil:
			if !errors.As(err, &e) || done {
				t.Fatalf("done %v, %v", done, err)
			}
		case !done:
			if n != 0 || len(p) > max(headSlack*limit, 0) {
				t.Fatalf("n %d of %d, limit %d", n, len(p), limit)
			}
		default:
			if n < 1 || n > headSlack*limit || p[n-1] != '\n' || h.Status < 200 || h.Status > 999 {
				t.Fatalf("n %d, limit %d, status %d", n, limit, h.Status)
			}
			for name, values := range h.Header {
				if !isToken(name) || hasControl(strings.Join(values, "")) || name == "Connection" || name == "Status" {
					t.Fatalf("%q: %q", name, values)
				}
			}
			if _, m, _, err := ParseHead(p[:n], limit); m != n || err != nil {
				t.Fatalf("the head alone gives %d, %v", m, err)
			}
		}
	})
}

func BenchmarkParseHead(b *testing.B) {
	p := []byte("X-Powered-By: PHP/8.2.36\r\nContent-type: text/html; charset=UTF-8\r\n\r\nHello")
	b.ReportAllocs()
	for b.Loop() {
		if _, _, done, err := ParseHead(p, 1<<16); !done || err != nil {
			b.Fatal(err)
		}
	}
}
