package files

import (
	"strings"
	"testing"
)

func TestAcceptEncoding(t *testing.T) {
	const all = "br zstd gzip"
	for _, tt := range []struct{ name, field, siblings, want string }{
		{"browser", "gzip, deflate, br, zstd", all, "br"},
		{"server prefers the smallest of equals", "gzip, zstd", all, "zstd"},
		{"weight decides", "br;q=0.5, gzip;q=0.8", all, "gzip"},
		{"what exists decides", "gzip, br", "gzip", "gzip"},
		{"falls back to identity", "br", "gzip", "identity"},
		{"empty field", "", all, "identity"},
		{"unknown coding", "sdch, compress", all, "identity"},
		{"star", "*", all, "br"},
		{"star with an exception", "*, br;q=0", all, "zstd"},
		{"star forbidden except gzip", "gzip, *;q=0", "br gzip", "gzip"},
		{"only identity", "identity", all, "identity"},
		{"identity preferred", "gzip;q=0.5, identity;q=0.9", all, "identity"},
		{"identity equal: the smaller one", "gzip;q=0.5, identity;q=0.5", all, "gzip"},
		{"identity forbidden", "identity;q=0, gzip;q=0.1", all, "gzip"},
		{"identity forbidden and nothing there", "identity;q=0, gzip", "", "none"},
		{"star forbidden forbids identity", "*;q=0", all, "none"},
		{"star forbidden, identity allowed", "*;q=0, identity", all, "identity"},
		{"zero weight", "gzip;q=0.000", all, "identity"},
		{"smallest weight", "gzip;q=0.001", all, "gzip"},
		{"case and spaces", " GZip ; Q=1.000 ", all, "gzip"},
		{"x-gzip is gzip (RFC 9110 8.4.1.3)", "x-gzip", all, "gzip"},
		{"malformed weight", "br;q=2, gzip;q=abc, zstd;q=0.1234", all, "identity"},
		{"malformed weight over one", "br;q=1.5", all, "identity"},
		{"first mention counts", "br;q=0, br", "br", "identity"},
		{"empty elements", ",, ,gzip,,", all, "gzip"},
		{"part of a name is another name", "brx, xbr, gzip2", all, "identity"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := negotiate(tt.field, tt.siblings); got != tt.want {
				t.Errorf("%q with %q = %q, want %q", tt.field, tt.siblings, got, tt.want)
			}
		})
	}
}

// negotiate runs the choice as openSibling does, with names for files.
func negotiate(field, siblings string) string {
	a := parseAcceptEncoding([]string{field})
	var tried [numCodings]bool
	for i := a.next(tried); i >= 0; i = a.next(tried) {
		if strings.Contains(" "+siblings+" ", " "+codingOf(i).name+" ") {
			return codingOf(i).name
		}
		tried[i] = true
	}
	if a.identity == 0 {
		return "none"
	}
	return "identity"
}

func TestAcceptEncodingLinesAreOneList(t *testing.T) {
	a := parseAcceptEncoding([]string{"gzip;q=0.5", "br;q=0.7, identity;q=0"})
	if a.weight != [numCodings]int{700, 0, 500} || a.identity != 0 {
		t.Errorf("parsed %+v", a)
	}
}

func FuzzAcceptEncoding(f *testing.F) {
	for _, s := range []string{"gzip, br;q=0.5", "*;q=0", "identity;q=0,*", ";;;", "gzip;q=", "br;q=1.000,zstd;q=0.999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a := parseAcceptEncoding([]string{s})
		lower := strings.ToLower(s)
		for i, w := range a.weight {
			if w < 0 || w > 1000 {
				t.Fatalf("%q: weight %d", s, w)
			}
			if w > 0 && !strings.Contains(lower, codingOf(i).name) && !strings.Contains(s, "*") {
				t.Fatalf("%q: %s accepted but never mentioned", s, codingOf(i).name)
			}
		}
		if a.identity < 0 || a.identity > 1000 {
			t.Fatalf("%q: identity %d", s, a.identity)
		}
		var tried [numCodings]bool
		last := 1000
		for i := a.next(tried); i >= 0; i = a.next(tried) {
			if tried[i] || a.weight[i] == 0 || a.weight[i] > last || a.weight[i] < a.identity {
				t.Fatalf("%q: wrong turn of %s in %+v", s, codingOf(i).name, a)
			}
			tried[i], last = true, a.weight[i]
		}
	})
}
