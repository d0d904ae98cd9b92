package fastcgi

import (
	"slices"
	"strings"
	"testing"
)

func candidates(path string, exts ...string) [][2]string {
	var got [][2]string
	for script, info := range Candidates(path, exts) {
		got = append(got, [2]string{script, info})
	}
	return got
}

func TestCandidates(t *testing.T) {
	type split = [2]string
	tests := []struct {
		name string
		path string
		want []split
	}{
		{"script", "/index.php", []split{{"/index.php", ""}}},
		{"path info", "/index.php/a/b", []split{{"/index.php", "/a/b"}}},
		{"MediaWiki title", "/index.php/Main_Page", []split{{"/index.php", "/Main_Page"}}},
		{"slash alone", "/index.php/", []split{{"/index.php", "/"}}},
		{"two slashes", "/index.php//a", []split{{"/index.php", "//a"}}},
		{"in a folder", "/a/b/c.php/d", []split{{"/a/b/c.php", "/d"}}},
		{"folder that looks like a script", "/a.php/b.php/c", []split{{"/a.php", "/b.php/c"}, {"/a.php/b.php", "/c"}}},
		{"unicode around", "/grüße/ä.php/ö", []split{{"/grüße/ä.php", "/ö"}}},
		{"decoded newline is data, CVE-2019-11043", "/index.php/x\ny", []split{{"/index.php", "/x\ny"}}},
		{"decoded newline after the extension, CVE-2019-11043", "/index.php\n/a", nil},
		{"extension as a segment, CVE-2019-11043", "/f/script.js/.php/a", nil},
		{"long path info, CVE-2019-11043", "/index.php/" + strings.Repeat("a", 60000), []split{{"/index.php", "/" + strings.Repeat("a", 60000)}}},
		{"image before a script is no candidate", "/up/evil.jpg/x.php", []split{{"/up/evil.jpg/x.php", ""}}},
		{"image before an extension", "/up/evil.jpg/.php", nil},
		{"NUL after an image", "/up/evil.jpg\x00.php", nil},
		{"NUL after a script", "/x.php\x00.jpg", nil},
		{"NUL in path info", "/x.php/\x00", nil},
		{"letters that grow in lower case, GHSA-g966-83w7-6w38 CVE-2026-24895", "/ȺȺȺȺshell.php.txt.php", []split{{"/ȺȺȺȺshell.php.txt.php", ""}}},
		{"the same with path info, GHSA-5r3v-vc8m-m96g CVE-2026-27590", "/ȺȺȺȺshell.php.txt.php/a", []split{{"/ȺȺȺȺshell.php.txt.php", "/a"}}},
		{"no script with an unset match, GHSA-3g8v-8r37-cgjm CVE-2026-45062", "/PoC-match-unset.¡.txt", nil},
		{"circled letters, GHSA-v4h7-cj44-8fc8", "/x.ⓟⓗⓟ", nil},
		{"small full stop, GHSA-v4h7-cj44-8fc8", "/x﹒php", nil},
		{"fullwidth full stop, GHSA-m675-2p33-xv9g", "/x．php", nil},
		{"fullwidth letter, GHSA-m675-2p33-xv9g", "/x.ｐhp", nil},
		{"mathematical letters, GHSA-m675-2p33-xv9g", "/x.𝓅𝒽𝓅", nil},
		{"upper case", "/x.PHP", nil},
		{"mixed case", "/x.pHp/a", nil},
		{"backup of a script", "/test.php.bak", nil},
		{"backup of a script with path info", "/test.php.bak/a", nil},
		{"letters after the extension", "/test.php5", nil},
		{"extension without a dot before", "/testphp", nil},
		{"backslash is no separator", `/x.php\a`, nil},
		{"dot after the extension", "/x.php.", nil},
		{"space after the extension", "/x.php ", nil},
		{"Windows stream", "/x.php::$DATA", nil},
		{"dotfile that is an extension", "/.php", nil},
		{"nothing", "", nil},
		{"root", "/", nil},
		{"static file", "/style.css", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := candidates(tt.path, ".php"); !slices.Equal(got, tt.want) {
				t.Errorf("%.80q: got %.200q, want %.200q", tt.path, got, tt.want)
			}
		})
	}
	// The byte named by the advisory: the split of the first vector is at its end,
	// not within "shell.php".
	if got := candidates("/ȺȺȺȺshell.php/x", ".php"); len(got) != 1 || len(got[0][0]) != 18 {
		t.Errorf("split at the wrong byte: %q", got)
	}
}

func TestCandidatesKnowSeveralExtensions(t *testing.T) {
	got := candidates("/a.php/b.phar/c.inc/d", ".php", "", ".inc")
	want := [][2]string{{"/a.php", "/b.phar/c.inc/d"}, {"/a.php/b.phar/c.inc", "/d"}}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := candidates("/a.php"); got != nil {
		t.Errorf("without extensions: %q", got)
	}
}

func TestCandidatesStopWhenTheCallerDoes(t *testing.T) {
	n := 0
	for range Candidates("/a.php/b.php/c.php", []string{".php"}) {
		n++
		break
	}
	if n != 1 {
		t.Errorf("%d candidates", n)
	}
}

func FuzzCandidates(f *testing.F) {
	for _, p := range []string{"/index.php/a", "/a.php/b.php/c", "/up/evil.jpg/x.php", "/test.php.bak", "/ȺȺȺȺshell.php.txt.php", "/x．php", "/x.PHP", "/a\x00.php", "/.php"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, path string) {
		last := 0
		for script, info := range Candidates(path, []string{".php"}) {
			if script+info != path {
				t.Fatalf("%q + %q is not %q", script, info, path)
			}
			if len(script) <= last || !strings.HasSuffix(script, ".php") || strings.HasSuffix(script, "/.php") {
				t.Fatalf("script %q", script)
			}
			if info != "" && info[0] != '/' || strings.Contains(path, "\x00") {
				t.Fatalf("path info %q of %q", info, path)
			}
			last = len(script)
		}
	})
}
