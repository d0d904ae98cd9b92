package files

import (
	"errors"
	"strings"
	"testing"
)

func TestCleanURLPath(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"plain path is unchanged", "/a/b.css", "/a/b.css"},
		{"empty path is the root", "", "/"},
		{"trailing slash stays", "/a/", "/a/"},
		{"repeated slashes become one", "//index.php///AC//DC//", "/index.php/AC/DC/"},
		{"encoded slashes beside others", "/index.php%2f/x/%2F%2f", "/index.php/x/"},
		{"nothing but slashes", "////", "/"},
		{"escapes are decoded", "/%61%2Eb", "/a.b"},
		{"escapes are decoded once (double encoding)", "/%2561%252e%252e", "/%61%2e%2e"},
		{"encoded slash is a slash (RFC 3875 4.1.5)", "/index.php/a%2Fb%2fc", "/index.php/a/b/c"},
		{"hex digits in either case (CVE-2026-27587)", "/%c3%A9", "/é"},
		{"encoded question mark and hash are data", "/a%3Fb%23c", "/a?b#c"},
		{"invalid UTF-8 is a name like any other", "/%ff%fe", "/\xff\xfe"},
		{"single dot", "/a/./b", "/a/b"},
		{"double dot", "/a/../b", "/b"},
		{"trailing single dot names the folder", "/a/.", "/a/"},
		{"trailing double dot names the folder", "/a/b/..", "/a/"},
		{"double dot to the root", "/a/..", "/"},
		{"root and a dot", "/.", "/"},
		{"dots are resolved after decoding", "/a/%2e%2E/b", "/b"},
		{"dots behind an encoded slash", "/a/b%2f..%2fc", "/a/c"},
		{"an empty segment is none", "/a//../b", "/b"},
		{"three dots are a name", "/.../a", "/.../a"},
		{"dotfiles are names", "/.env/..a/.b.", "/.env/..a/.b."},
		{"well-known", "/.well-known/acme-challenge/x", "/.well-known/acme-challenge/x"},
		{"plus is not a space", "/a+b", "/a+b"},
	}
	if !onWindows {
		tests = append(tests, struct{ name, in, want string }{"backslash is data", `/i.php/a%5c..%5Cb\`, `/i.php/a\..\b\`})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := CleanPath(tt.in)
			if err != nil || got != tt.want {
				t.Errorf("cleanURLPath(%q) = %q, %v; want %q", tt.in, got, err, tt.want)
			}
		})
	}
}

// Each copy of what is before would be as long as the path: a long path of dot segments would cost its square.
func TestRemoveDotSegmentsCopiesOnce(t *testing.T) {
	path := strings.Repeat("/aaaaaaaaaaaaaaaa", 100) + strings.Repeat("/b/..", 1000) + "/c"
	if n := testing.AllocsPerRun(10, func() { removeDotSegments(path) }); n > 2 {
		t.Errorf("%v allocations", n)
	}
	if got, ok := removeDotSegments(path); !ok || got != strings.Repeat("/aaaaaaaaaaaaaaaa", 100)+"/c" {
		t.Errorf("got %q, %v", got, ok)
	}
}

func TestCleanURLPathRefuses(t *testing.T) {
	tests := []struct{ name, in string }{
		{"asterisk form", "*"},
		{"relative path", "a/b"},
		{"escape cut short", "/a%2"},
		{"lonely percent", "/a%"},
		{"escape that is not hex", "/%zz"},
		{"IIS escape", "/%u002e"},
		{"encoded NUL (Caddy 4574)", "/evil.jpg%00.php"},
		{"raw NUL", "/a\x00b"},
		{"encoded newline (CVE-2019-11043)", "/index.php/x%0Ay"},
		{"encoded carriage return", "/a%0d"},
		{"raw tab", "/a\tb"},
		{"DEL", "/a%7F"},
		{"above the root", "/.."},
		{"above the root with more", "/../etc/passwd"},
		{"above the root encoded", "/%2e%2e/etc/passwd"},
		{"above the root, slash encoded", "/..%2f..%2fetc/passwd"},
		{"above the root after going down", "/a/../../b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := CleanPath(tt.in)
			var bad *PathError
			if !errors.As(err, &bad) || got != "" {
				t.Errorf("cleanURLPath(%q) = %q, %v; want a *badPathError", tt.in, got, err)
			}
		})
	}
}

func TestBadPathErrorIsBounded(t *testing.T) {
	_, err := CleanPath("/%00" + strings.Repeat("x", 64<<10))
	if err == nil || len(err.Error()) > 400 {
		t.Errorf("error for a 64 KiB path has %d bytes", len(err.Error()))
	}
}

func TestCleanURLPathOfPlainPathDoesNotAllocate(t *testing.T) {
	for _, path := range []string{"/", "/assets/app.js", "/.well-known/x", "/index.php/a/b"} {
		if n := testing.AllocsPerRun(100, func() { _, _ = CleanPath(path) }); n != 0 {
			t.Errorf("cleanURLPath(%q): %v allocations", path, n)
		}
	}
}

func FuzzCleanURLPath(f *testing.F) {
	for _, s := range []string{"/", "/a/../b", "/%2e%2e/", "/a%00", "/a//b/./c/..", "/%2561", "/..%2f", `/a\..\b`, "/.a/..b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := CleanPath(s)
		if err != nil {
			if _, ok := errors.AsType[*PathError](err); !ok {
				t.Fatalf("%q: untyped error %v", s, err)
			}
			return
		}
		if !strings.HasPrefix(got, "/") {
			t.Fatalf("%q gave %q without a leading slash", s, got)
		}
		for segment := range strings.SplitSeq(got, "/") {
			if segment == "." || segment == ".." {
				t.Fatalf("%q gave %q with a dot segment", s, got)
			}
		}
		for i := range len(got) {
			if got[i] < 0x20 || got[i] == 0x7f {
				t.Fatalf("%q gave %q with a control character", s, got)
			}
		}
		if len(got) > max(len(s), 1) {
			t.Fatalf("%q grew to %q", s, got)
		}
		if !strings.Contains(got, "%") {
			if again, err := CleanPath(got); err != nil || again != got {
				t.Fatalf("%q: cleaning %q again gave %q, %v", s, got, again, err)
			}
		}
	})
}

func BenchmarkCleanURLPath(b *testing.B) {
	for _, bb := range []struct{ name, path string }{
		{"plain", "/wp-content/themes/twentytwentyfour/assets/css/style.css"},
		{"escaped", "/wp-content/uploads/2026/11/caf%C3%A9%20menu.pdf"},
		{"dots", "/wp-content/themes/../plugins/./x.js"},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = CleanPath(bb.path)
			}
		})
	}
}
