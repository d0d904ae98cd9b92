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
		{"lowest and highest status", "Status: 599\r\n\r\n", 599, "", http.Header{}},
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
		{"equal lengths become one", "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", 200, "", http.Header{"Content-Length": {"5"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, n, done, err := ParseHead([]byte(tt.head+"body\n\nmore"), len(tt.head))
			if err != nil || !done || n != len(tt.head) {
				t.Fatalf("n %d, done %v, %v", n, done, err)
			}
			if want := (Head{tt.status, tt.reason, tt.header}); !reflect.DeepEqual(h, want) {
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

func TestParseHeadRefuses(t *testing.T) {
	tests := []struct{ name, head, reason string }{
		{"line without a colon", "A: 1\r\nnonsense\r\n\r\n", "no colon"},
		{"http status line", "HTTP/1.1 200 OK\r\n\r\n", "no colon"},
		{"empty name", ": x\r\n\r\n", "bad field name"},
		{"space before the colon", "A : x\r\n\r\n", "bad field name"},
		{"space in the name", "A b: x\r\n\r\n", "bad field name"},
		{"bracket in the name", "A(b): x\r\n\r\n", "bad field name"},
		{"high byte in the name", "\xc3\xa4: x\r\n\r\n", "bad field name"},
		{"NUL in the name", "A\x00: x\r\n\r\n", "bad field name"},
		{"CR in the name", "A\r: x\r\n\r\n", "bad field name"},
		{"NUL in the value", "A: x\x00y\r\n\r\n", "control character"},
		{"CR in the value", "A: x\rSet-Cookie: y\r\n\r\n", "control character"},
		{"CR before CRLF", "A: x\r\r\n\r\n", "control character"},
		{"obs-fold", "A: x\r\n y\r\n\r\n", "folded field"},
		{"obs-fold with a tab", "A: x\r\n\ty: z\r\n\r\n", "folded field"},
		{"status 100", "Status: 100 Continue\r\n\r\n", "status outside"},
		{"status 199", "Status: 199\r\n\r\n", "status outside"},
		{"status 600", "Status: 600\r\n\r\n", "status outside"},
		{"status of four digits", "Status: 2000\r\n\r\n", "status outside"},
		{"status of twenty digits", "Status: 18446744073709551816\r\n\r\n", "status outside"},
		{"empty status", "Status:\r\n\r\n", "status outside"},
		{"status that is no number", "Status: OK\r\n\r\n", "bad status"},
		{"signed status", "Status: +20\r\n\r\n", "bad status"},
		{"lengths that differ", "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", "Content-Length"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, n, done, err := ParseHead([]byte(tt.head), 1000)
			var e *HeadError
			if !errors.As(err, &e) || !strings.Contains(err.Error(), tt.reason) || n != 0 || done {
				t.Errorf("got %d %v %v, want %q", n, done, err, tt.reason)
			}
		})
	}
}

func TestParseHeadKeepsToItsLimit(t *testing.T) {
	head := "A: " + strings.Repeat("x", 100) + "\r\n\r\n"
	tests := []struct {
		name  string
		p     string
		limit int
		done  bool
		bad   bool
	}{
		{"whole head of limit bytes", head + "body", len(head), true, false},
		{"whole head of one more", head + "body", len(head) - 1, false, true},
		{"part of limit bytes", head[:50], 50, false, false},
		{"part of one more", head[:50], 49, false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, done, err := ParseHead([]byte(tt.p), tt.limit)
			var e *HeadError
			if done != tt.done || errors.As(err, &e) != tt.bad {
				t.Errorf("got %v %v", done, err)
			}
		})
	}
}

func TestHeadErrorShowsOnlyTheStartOfALongLine(t *testing.T) {
	_, _, _, err := ParseHead([]byte(strings.Repeat("z", 5000)+"\n\n"), 10000)
	if err == nil || len(err.Error()) > 200 {
		t.Errorf("got %v", err)
	}
}

func FuzzParseHead(f *testing.F) {
	f.Add([]byte("X-Powered-By: PHP/8.2\r\nContent-type: text/html; charset=UTF-8\r\n\r\nbody"), 1000)
	f.Add([]byte("Status: 404 Not Found\nConnection: X\nX: 1\n\n"), 1000)
	f.Add([]byte("Location: /a\r\nA: x\r\n y\r\n\r\n"), 20)
	f.Add([]byte("\n"), 0)
	f.Add([]byte("A: x\rB: y\r\n\r\n"), 100)
	f.Fuzz(func(t *testing.T, p []byte, limit int) {
		h, n, done, err := ParseHead(p, limit)
		var e *HeadError
		switch {
		case err != nil:
			if !errors.As(err, &e) || done {
				t.Fatalf("done %v, %v", done, err)
			}
		case !done:
			if n != 0 || len(p) > max(limit, 0) {
				t.Fatalf("n %d of %d, limit %d", n, len(p), limit)
			}
		default:
			if n < 1 || n > limit || p[n-1] != '\n' || h.Status < 200 || h.Status > 599 {
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
