package files

import (
	"bytes"
	"fmt"
	"strings"
)

// PathError says why a part of a request target, its path unless part says
// otherwise, cannot be looked up at all. The caller answers 400 (RFC 9110
// section 15.5.1).
type PathError struct {
	Path   string
	Reason string
	Part   string
}

func (e *PathError) Error() string {
	path, part := e.Path, e.Part
	if len(path) > maxQuotedPath {
		path = path[:maxQuotedPath] + "..."
	}
	if part == "" {
		part = "path"
	}
	return fmt.Sprintf("cannot use %s %q: %s", part, path, e.Reason)
}

// badPath refuses a path.
func badPath(path, reason string) error { return &PathError{Path: path, Reason: reason} }

// maxQuotedPath bounds how much of a hostile path reaches an error or a log.
const maxQuotedPath = 200

// CleanPath turns the path of a request target, still percent-encoded, into
// the path that is looked up: decoded exactly once (RFC 3986 section 2.4) and
// then freed of dot segments (section 5.2.4). The order matters, because
// %2e%2e%2f is "../" to everything behind this function.
//
//   - An encoded slash becomes a slash: RFC 3875 section 4.1.5 has PATH_INFO
//     decoded, so the two cannot be told apart there anyway.
//   - Repeated slashes become one, as with nginx (merge_slashes) and Apache
//     (MergeSlashes): so the path is one for whoever compares it, and
//     SCRIPT_NAME, PATH_INFO and PHP_SELF are what they are there. REQUEST_URI
//     has the target as it was sent.
//   - A backslash is kept where it is not a separator;
//     Root never finds a file behind one. On Windows it is refused.
//
// Refused, as *PathError: a broken escape, a dot segment above the root,
// and every C0 control character and DEL, raw or encoded. NUL would end the
// path early in C (Caddy issue 4574) and a newline is how CVE-2019-11043 got
// past a path split. An empty path is "/" (RFC 9112 section 3.2.1).
func CleanPath(escaped string) (string, error) {
	if escaped == "" {
		return "/", nil
	}
	if escaped[0] != '/' {
		return "", badPath(escaped, "it does not start with a slash")
	}
	path := escaped
	if strings.IndexByte(path, '%') >= 0 {
		decoded, ok := unescapeOnce(path)
		if !ok {
			return "", badPath(escaped, "invalid percent escape")
		}
		path = decoded
	}
	path = mergeSlashes(path)
	dots := false
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c < 0x20 || c == 0x7f:
			return "", badPath(escaped, "control character")
		case c == '\\' && onWindows:
			return "", badPath(escaped, "backslash")
		case c == '.' && path[i-1] == '/': // path[0] is a slash, so i > 0
			dots = dots || dotSegment(path[i:]) > 0
		}
	}
	if !dots {
		return path, nil
	}
	path, ok := removeDotSegments(path)
	if !ok {
		return "", badPath(escaped, "dot segments lead above the root")
	}
	return path, nil
}

// mergeSlashes makes one slash of several.
func mergeSlashes(path string) string {
	at := strings.Index(path, "//")
	if at < 0 {
		return path
	}
	b := append(make([]byte, 0, len(path)), path[:at]...)
	for i := at; i < len(path); i++ {
		if path[i] != '/' || i == 0 || path[i-1] != '/' {
			b = append(b, path[i])
		}
	}
	return string(b)
}

// unescapeOnce decodes every %XX. net/url would do, but also reports errors
// that hold the whole path.
func unescapeOnce(s string) (string, bool) {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b = append(b, s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", false
		}
		hi, lo := unhex(s[i+1]), unhex(s[i+2])
		if hi < 0 || lo < 0 {
			return "", false
		}
		b = append(b, byte(hi<<4|lo))
		i += 2
	}
	return string(b), true
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// dotSegment reports the length of the dot segment that s starts with: 1 for
// ".", 2 for "..", 0 when the first segment is something else.
func dotSegment(s string) int {
	n := 0
	for n < len(s) && s[n] == '.' {
		n++
	}
	if n > 2 || n < len(s) && s[n] != '/' {
		return 0
	}
	return n
}

// removeDotSegments is RFC 3986 section 5.2.4, except that going above the
// root is not ok instead of silently staying there: no browser sends it.
func removeDotSegments(path string) (string, bool) {
	out := make([]byte, 0, len(path))
	for i := 0; i < len(path); {
		// path[i] is the slash in front of the next segment.
		segment := path[i+1:]
		end := strings.IndexByte(segment, '/')
		last := end < 0
		if last {
			end = len(segment)
		}
		switch dotSegment(segment) {
		case 0:
			out = append(out, path[i:i+1+end]...)
		case 2:
			if len(out) == 0 {
				return "", false
			}
			out = out[:bytes.LastIndexByte(out, '/')]
			fallthrough
		case 1:
			// "/a/." and "/a/.." name folders, so the slash stays.
			if last {
				out = append(out, '/')
			}
		}
		i += 1 + end
	}
	return string(out), true
}
