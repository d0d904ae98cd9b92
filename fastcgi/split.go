package fastcgi

import (
	"iter"
	"strings"
)

// Candidates yields, from left to right, every place where a decoded URL path can
// be split into a script and its PATH_INFO (RFC 3875 §4.1.5): after a segment that
// ends in one of exts, where the segment ends too. Which candidate is an existing
// file is for the caller to find out; it must not fall back to a shorter one, as
// cgi.fix_pathinfo does (image-as-PHP, /up/evil.jpg/x.php).
//
//   - Only whole segments count: /test.php.bak holds no script.
//   - Bytes are compared, nothing is folded or normalised. Lower-casing moves
//     offsets (GHSA-g966-83w7-6w38 / CVE-2026-24895, GHSA-5r3v-vc8m-m96g /
//     CVE-2026-27590: "Ⱥ" grows by a byte) and folding takes fullwidth or circled
//     letters for an extension (GHSA-3g8v-8r37-cgjm / CVE-2026-45062,
//     GHSA-v4h7-cj44-8fc8, GHSA-m675-2p33-xv9g). So /x.PHP is not a script.
//   - A segment that is nothing but an extension is a dotfile, not a script
//     (/script.js/.php/a is a trigger of CVE-2019-11043).
//   - A path with a NUL byte has no candidate: for the file system it ends there.
func Candidates(path string, exts []string) iter.Seq2[string, string] {
	return func(yield func(script, info string) bool) {
		if strings.IndexByte(path, 0) >= 0 {
			return
		}
		for start := 0; start < len(path); {
			end := len(path)
			if i := strings.IndexByte(path[start:], '/'); i >= 0 {
				end = start + i
			}
			if isScript(path[start:end], exts) && !yield(path[:end], path[end:]) {
				return
			}
			start = end + 1
		}
	}
}

func isScript(segment string, exts []string) bool {
	for _, ext := range exts {
		if ext != "" && len(segment) > len(ext) && strings.HasSuffix(segment, ext) {
			return true
		}
	}
	return false
}
