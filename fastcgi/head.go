package fastcgi

import (
	"bytes"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
)

// Head is a CGI response head (RFC 3875 §6.2, §6.3).
type Head struct {
	Status int         // from the Status field; else 302 with a Location, else 200
	Reason string      // of the Status field; empty when it has none
	Header http.Header // all other fields; those of one name keep their order
}

// HeadError says why a response head was refused.
type HeadError struct {
	Line   string // the offending line, shortened; empty if the head as a whole is meant
	Reason string
}

func (e *HeadError) Error() string {
	if e.Line == "" {
		return "cannot parse cgi response head: " + e.Reason
	}
	return "cannot parse cgi response head: " + e.Reason + " in line " + strconv.Quote(e.Line)
}

func badLine(line, reason string) error {
	const shown = 80
	return &HeadError{Line: line[:min(len(line), shown)], Reason: reason}
}

// ParseHead parses the response head at the start of p (RFC 3875 §6). It returns
// done == false while the blank line that ends the head is missing, and a
// *[HeadError] for a bad head or one of more than limit bytes. n is the length of
// the head with its blank line; the body starts there.
//
// Lines end in CRLF or LF. Field names are tokens and values free of CR and NUL
// (RFC 9110 §5.1, §5.5); folded lines are refused (RFC 9112 §5.2). A field whose
// value has another control character but TAB is left out, as is a Content-Length
// that is no number: no client may be sent either. A Location
// without a Status is a redirect by the client, also when it is relative: the
// internal redirect of RFC 3875 §6.2.2 is known to no PHP server. Fields about the
// connection (RFC 9110 §7.6.1) are removed, as are those that Connection names.
//
// Of several Status lines the first counts: scripts that send both
// header('HTTP/1.1 404') and header('Status: 404') make php-cgi print two.
func ParseHead(p []byte, limit int) (h Head, n int, done bool, err error) {
	lines, n := headEnd(p)
	if n > limit || n == 0 && len(p) > limit {
		return Head{}, 0, false, &HeadError{Reason: "more than " + strconv.Itoa(limit) + " bytes"}
	}
	if n == 0 {
		return Head{}, 0, false, nil
	}
	// One string for the whole head: names and values are slices of it.
	text := string(p[:n])
	h.Header = make(http.Header, lines)
	values := make([]string, 0, lines)
	for range lines {
		var line string
		line, text, _ = strings.Cut(text, "\n")
		line = strings.TrimSuffix(line, "\r")
		name, value, err := parseField(line)
		if err != nil {
			return Head{}, 0, false, err
		}
		if name == "Status" {
			if h.Status != 0 {
				continue
			}
			if h.Status, h.Reason, err = parseStatus(line, value); err != nil {
				return Head{}, 0, false, err
			}
			continue
		}
		if hasControl(value) || name == "Content-Length" && !isLength(value) {
			continue
		}
		if old := h.Header[name]; old != nil {
			h.Header[name] = append(old, value)
			continue
		}
		values = append(values, value)
		h.Header[name] = values[len(values)-1 : len(values) : len(values)]
	}
	if err := singleLength(h.Header); err != nil {
		return Head{}, 0, false, err
	}
	removeHopByHop(h.Header)
	if h.Status == 0 {
		h.Status = http.StatusOK
		if h.Header["Location"] != nil {
			h.Status = http.StatusFound
		}
	}
	return h, n, true, nil
}

// headEnd returns the number of lines before the blank line and the offset after
// it; the offset is 0 when there is none.
func headEnd(p []byte) (lines, n int) {
	for {
		i := bytes.IndexByte(p[n:], '\n')
		if i < 0 {
			return 0, 0
		}
		blank := i == 0 || i == 1 && p[n] == '\r'
		n += i + 1
		if blank {
			return lines, n
		}
		lines++
	}
}

func parseField(line string) (name, value string, err error) {
	if line[0] == ' ' || line[0] == '\t' {
		return "", "", badLine(line, "folded field")
	}
	name, value, found := strings.Cut(line, ":")
	if !found {
		return "", "", badLine(line, "no colon")
	}
	if !isToken(name) {
		return "", "", badLine(line, "bad field name")
	}
	if strings.IndexByte(value, '\r') >= 0 || strings.IndexByte(value, 0) >= 0 {
		return "", "", badLine(line, "control character")
	}
	return canonicalName(name), strings.Trim(value, " \t"), nil
}

// parseStatus parses the Status field (RFC 3875 §6.3.3). Interim statuses are
// refused: the answer's body would be taken for the final head.
func parseStatus(line, value string) (status int, reason string, err error) {
	code, reason, _ := strings.Cut(value, " ")
	for i := range len(code) {
		if code[i] < '0' || code[i] > '9' {
			return 0, "", badLine(line, "bad status")
		}
		status = status*10 + int(code[i]-'0')
	}
	if len(code) != 3 || status < 200 || status > 599 {
		return 0, "", badLine(line, "status outside 200 to 599")
	}
	return status, strings.Trim(reason, " \t"), nil
}

// hasControl reports whether a value has a control character (RFC 9110 §5.5).
func hasControl(value string) bool {
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return true
		}
	}
	return false
}

// isLength reports whether a value is a Content-Length (RFC 9110 §8.6) that an
// int64 takes.
func isLength(value string) bool {
	for i := range len(value) {
		if value[i] < '0' || value[i] > '9' {
			return false
		}
	}
	_, err := strconv.ParseInt(value, 10, 64)
	return err == nil
}

// singleLength leaves one Content-Length at most: several that differ would let
// the next proxy and us disagree on where the body ends (RFC 9110 §8.6).
func singleLength(header http.Header) error {
	lengths := header["Content-Length"]
	if len(lengths) < 2 {
		return nil
	}
	for _, l := range lengths[1:] {
		if l != lengths[0] {
			return &HeadError{Reason: "several Content-Length fields that differ"}
		}
	}
	header["Content-Length"] = lengths[:1]
	return nil
}

// removeHopByHop removes what concerns one connection only (RFC 9110 §7.6.1).
func removeHopByHop(header http.Header) {
	for _, list := range header["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			header.Del(strings.Trim(name, " \t"))
		}
	}
	delete(header, "Connection")
	delete(header, "Keep-Alive")
	delete(header, "Proxy-Connection")
	delete(header, "Te")
	delete(header, "Trailer")
	delete(header, "Transfer-Encoding")
	delete(header, "Upgrade")
}

// canonicalName is textproto.CanonicalMIMEHeaderKey for a token, without its
// allocation for the one odd name that every PHP page sends.
func canonicalName(name string) string {
	if name == "Content-type" {
		return "Content-Type"
	}
	return textproto.CanonicalMIMEHeaderKey(name)
}

// isToken reports whether s is a token of RFC 9110 §5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}
