package fastcgi

import (
	"slices"
	"strings"
)

// header appends the request's header as HTTP_* (RFC 3875 §4.1.18).
//
//   - A name with any byte outside [A-Za-z0-9-] is left out: "Remote_User" and
//     "Remote.User" would become the same variable as "Remote-User", which an
//     operator may trust (GHSA-f59h-q822-g45g, GHSA-49wc-4hcv-v58q).
//   - Proxy is left out: HTTP_PROXY configures HTTP clients (CVE-2016-5385).
//   - Under DialectRFC3875 credentials are withheld (§4.1.18, SHOULD), as are
//     Content-Length and Content-Type, which have variables of their own, fields
//     about the connection, and what Connection lists (RFC 9110 §7.6.1).
//   - DialectPHP sends all of these, as nginx does: applications look for WebSocket
//     handshakes, and a client that lists a field in Connection takes nothing away.
//
// Whatever the client sends gets the prefix HTTP_: "Redirect-Status" cannot become
// REDIRECT_STATUS (CVE-2024-8927), nor "PHP-Value" PHP_VALUE.
func (b *paramBuilder) header(e *Environment) {
	b.known("HTTP_HOST", e.Host)
	b.known("HTTP_X_REQUEST_ID", e.RequestID)
	if e.Dialect == DialectPHP {
		b.known("HTTP_TRANSFER_ENCODING", e.TransferEncoding)
	}

	var fieldArray [48]field
	var optionArray [8]string
	fields, options := fieldArray[:0], optionArray[:0]
	for key, values := range e.Header {
		if len(values) == 0 || !plainName(key) {
			continue
		}
		if e.Dialect == DialectPHP || len(key) != len("Connection") || !strings.EqualFold(key, "Connection") {
			fields = append(fields, field{key, values})
		} else if len(values) > 1 || !strings.EqualFold(values[0], "keep-alive") {
			options = appendOptions(options, values) // Keep-Alive itself never passes
		}
	}
	slices.SortFunc(fields, func(a, b field) int { return compareFold(a.key, b.key) })
	slices.SortFunc(options, compareFold) // there may be thousands, of both

	var nameArray [96]byte
	name := append(nameArray[:0], "HTTP_"...)
	for i := 0; i < len(fields); {
		// A map that is not canonical may hold one name in several spellings.
		same := i + 1
		for same < len(fields) && compareFold(fields[i].key, fields[same].key) == 0 {
			same++
		}
		name = appendVariable(name[:len("HTTP_")], fields[i].key)
		if e.passes(name) && !listed(options, fields[i].key) && !b.overridden(string(name)) {
			b.joined(name, fields[i:same])
		}
		i = same
	}
}

// field is one entry of a header map.
type field struct {
	key    string
	values []string
}

// passes reports whether the field of this variable may be sent.
func (e *Environment) passes(variable []byte) bool {
	switch string(variable) {
	case "HTTP_PROXY", "HTTP_HOST":
		return false
	case "HTTP_TRANSFER_ENCODING": // but for TransferEncoding
		return e.Dialect == DialectPHP && e.TransferEncoding == ""
	case "HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE", "HTTP_CONNECTION", "HTTP_KEEP_ALIVE", "HTTP_PROXY_CONNECTION", "HTTP_TE",
		"HTTP_TRAILER", "HTTP_UPGRADE":
		return e.Dialect == DialectPHP
	case "HTTP_X_REQUEST_ID":
		return e.RequestID == ""
	case "HTTP_AUTHORIZATION", "HTTP_PROXY_AUTHORIZATION":
		return e.Dialect != DialectRFC3875
	}
	return true
}

// joined appends one variable with all values of the fields, joined by ", "
// (RFC 9110 §5.3), for Cookie by "; " (RFC 9113 §8.2.3).
func (b *paramBuilder) joined(name []byte, fields []field) {
	separator := ", "
	if string(name) == "HTTP_COOKIE" {
		separator = "; "
	}
	length, count := 0, 0
	for _, f := range fields {
		for _, v := range f.values {
			length += len(v)
			count++
		}
	}
	length += (count - 1) * len(separator)
	b.dst = appendParamLengths(b.dst, len(name), length)
	b.dst = append(b.dst, name...)
	for _, f := range fields {
		for _, v := range f.values {
			b.dst = append(b.dst, v...)
			if count--; count > 0 {
				b.dst = append(b.dst, separator...)
			}
		}
	}
}

// appendOptions appends the options of a Connection field that could be the name
// of a field that passes.
func appendOptions(options, connection []string) []string {
	for _, list := range connection {
		for list != "" {
			var option string
			option, list, _ = strings.Cut(list, ",")
			if option = strings.Trim(option, " \t"); plainName(option) {
				options = append(options, option)
			}
		}
	}
	return options
}

// listed reports whether key is one of the sorted options.
func listed(options []string, key string) bool {
	_, found := slices.BinarySearchFunc(options, key, compareFold)
	return found
}

// plainName reports whether a field name maps to a variable no other name maps to.
func plainName(name string) bool {
	for i := range len(name) {
		c := name[i]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return name != ""
}

func appendVariable(dst []byte, name string) []byte {
	for i := range len(name) {
		dst = append(dst, variableByte(name[i]))
	}
	return dst
}

// variableByte is the byte of a plain field name in its variable.
func variableByte(c byte) byte {
	switch {
	case c >= 'a':
		return c - 'a' + 'A'
	case c == '-':
		return '_'
	}
	return c
}

// compareFold orders plain field names without regard to case.
func compareFold(a, b string) int {
	for i := range min(len(a), len(b)) {
		if x, y := variableByte(a[i]), variableByte(b[i]); x != y {
			return int(x) - int(y)
		}
	}
	return len(a) - len(b)
}
