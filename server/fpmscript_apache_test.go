//go:build unix

package server

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// TestScriptOfAnEncodedPathIsFoundAsByPHPFPM: Apache's ProxyPass sends the path of the URL as the client wrote it in SCRIPT_FILENAME, and
// SCRIPT_NAME with some of it decoded. Every text goes encoded in every way into every place that Apache has for it.
func TestScriptOfAnEncodedPathIsFoundAsByPHPFPM(t *testing.T) {
	t.Parallel()
	s := startSides(t, "zygote", map[string]string{"info.php": variablesScript, "a b.php": variablesScript, "ü.php": variablesScript}, "", nil)
	asked, different, kept := 0, 0, 0
	for _, params := range encodedPaths(s.root) {
		asked++
		fpm, own := s.both(t, params, "")
		if got, want := own.String(), fpm.String(); got != want {
			if different++; different <= 10 {
				sent, _ := json.Marshal(params)
				t.Errorf("sent %s\nphp-fpm: %s\nphpserve: %s", sent, want, got)
			}
		}
		if strings.Contains(fpm.Body, "ORIG_SCRIPT_NAME") {
			kept++
		}
	}
	if asked < 1000 || kept < 100 {
		t.Errorf("%d requests, of which php-fpm changed %d", asked, kept)
	}
	t.Logf("%d requests, of which php-fpm changed %d; %d different", asked, kept, different)
}

// encodedPaths are requests as mod_proxy_fcgi and mod_proxy_balancer send them.
func encodedPaths(root string) (all []map[string]string) {
	encodings := []func(string) string{
		func(text string) string { return text },
		func(text string) string { return strings.NewReplacer("%", "%25", " ", "%20", "?", "%3F").Replace(text) },
		func(text string) string { // every byte that is no slash
			var b strings.Builder
			for _, c := range []byte(text) {
				if c == '/' {
					b.WriteByte(c)
				} else {
					fmt.Fprintf(&b, "%%%02x", c)
				}
			}
			return b.String()
		},
		func(text string) string { return strings.ReplaceAll(text, "/", "%2F") },
		func(text string) string { return strings.ReplaceAll(text, " ", "+") },
	}
	tails := []string{
		"", "/", "/1 2", "/a/b", "/a//b", "//a", "/a?b", "/100%", "/%", "/%4", "/%zz", "/%41", "/%2541", "/ä/ö", "/a+b", "/\x80", "/.", "/..", "/a.php", "/info.php", "/#", "/a;b=c", "/%00",
	}
	for _, script := range []string{"/info.php", "/a b.php", "/ü.php", "/none.php"} {
		for _, tail := range tails {
			for _, path := range encodings {
				for _, name := range encodings {
					for _, scheme := range []string{"proxy:fcgi://host:9000", "proxy:balancer://pool"} {
						all = append(all, map[string]string{
							"REQUEST_METHOD": "GET", "SCRIPT_FILENAME": scheme + root + script + path(tail), "SCRIPT_NAME": script + name(tail),
							"REQUEST_URI": script + path(tail), "DOCUMENT_ROOT": root,
						})
					}
				}
			}
		}
	}
	for _, params := range all[:len(all)/4] { // where Apache knows PATH_INFO, too, or the document root is another's
		more := map[string]string{"PATH_INFO": "/1 2", "PATH_TRANSLATED": root + "/1 2"}
		for name, value := range params {
			if name != "DOCUMENT_ROOT" {
				more[name] = value
			}
		}
		all = append(all, more)
	}
	return all
}
