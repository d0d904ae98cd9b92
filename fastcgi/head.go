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
	// Names holds the names that the script spelled in another way than http.CanonicalHeaderKey, by their key in Header. Nil:
	// there is none.
	Names map[string]string
	// Dropped says what was left out because no client may be sent it, at most maxDropped of it.
	Dropped []string
}

// maxDropped bounds Head.Dropped.
const maxDropped = 8

// headSlack is how much longer than its limit a head may be before it is refused as a whole: what is over the limit is left
// out, field by field.
const headSlack = 16

// HeadError says why there is no response head at all.
type HeadError struct {
	Reason string
}

func (e *HeadError) Error() string { return "cannot parse cgi response head: " + e.Reason }

// ParseHead parses the response head at the start of p (RFC 3875 §6). It returns
// done == false while the blank line that ends the head is missing, and a
// *[HeadError] when it has not come within 16 times limit. n is the length of
// the head with its blank line; the body starts there.
//
// A line that no client may be sent is left out, and Dropped says so: the script has no
// other way to learn of it, and its work is worth more than the line. Such are
// lines without a colon, names that are no token and values with a control character
// other than TAB (RFC 9110 §5.1, §5.5), a Status that does not begin with the number of a final one,
// a Content-Length that is no number, all of several that differ (§8.6), all but the last of several
// fields that a response has once (§5.3), and every field that would make the head longer than
// limit bytes. A folded line continues the one before it (RFC 9112 §5.2). Lines end in CRLF or LF.
//
// A Location without a Status is a redirect by the client, also when it is relative: the
// internal redirect of RFC 3875 §6.2.2 is known to no PHP server. Fields about the
// connection (RFC 9110 §7.6.1) are removed, as are those that Connection names.
//
// Of several Status lines the first counts: scripts that send both
// header('HTTP/1.1 404') and header('Status: 404') make php-cgi print two. A status line of
// HTTP, which cgi.rfc2616_headers has php-cgi print, counts as one.
func ParseHead(p []byte, limit int) (h Head, n int, done bool, err error) {
	lines, n := headEnd(p)
	if most := headSlack * limit; n > most || n == 0 && len(p) > most {
		return Head{}, 0, false, &HeadError{Reason: "more than " + strconv.Itoa(most) + " bytes"}
	}
	if n == 0 {
		return Head{}, 0, false, nil
	}
	// One string for the whole head: names and values are slices of it.
	b := headBuilder{head: &h, limit: limit, values: make([]string, 0, lines)}
	h.Header = make(http.Header, lines)
	text := string(p[:n])
	for range lines {
		var line string
		line, text, _ = strings.Cut(text, "\n")
		b.line(line)
	}
	b.singleLength()
	removeHopByHop(&h)
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

// headBuilder gathers the fields of a head.
type headBuilder struct {
	head   *Head
	limit  int
	size   int      // bytes of the lines so far
	values []string // backing of most entries of the header
	last   string   // key of the field that a folded line continues; empty: none
}

// line takes one line of the head, which still may end in CR.
func (b *headBuilder) line(line string) {
	size := len(line) + 1
	line = strings.TrimSuffix(line, "\r")
	b.size += size
	if line[0] == ' ' || line[0] == '\t' {
		b.fold(line)
		return
	}
	b.last = ""
	name, value, found := strings.Cut(line, ":")
	switch {
	case !found && strings.HasPrefix(line, "HTTP/"):
		_, status, _ := strings.Cut(line, " ")
		b.status(line, status)
		return
	case !found:
		b.drop("a line without a colon", line)
		return
	case !isToken(name):
		b.drop("a name that is none", line)
		return
	}
	key, own := canonicalName(name)
	value = strings.Trim(value, " \t")
	switch {
	case key == "Status":
		b.status(line, value)
	case hasControl(value):
		b.drop("a control character in the value", line)
	case b.size > b.limit:
		b.drop("more than "+strconv.Itoa(b.limit)+" bytes of header", line)
		b.size -= size // what is shorter may still find room
	case key == "Content-Length" && !isLength(value):
		b.drop("a length that is none", line)
	default:
		b.add(key, name, own, value)
	}
}

// add adds a field. own says that the script spells its name in another way than key.
func (b *headBuilder) add(key, name string, own bool, value string) {
	b.last = key
	if old := b.head.Header[key]; old != nil {
		if !single(key) {
			b.head.Header[key] = append(old, value)
		} else if old[0] != value {
			b.drop("another "+key+" behind it", key+": "+old[0])
			old[0] = value
		}
		return
	}
	b.values = append(b.values, value)
	b.head.Header[key] = b.values[len(b.values)-1 : len(b.values) : len(b.values)]
	if own {
		if b.head.Names == nil {
			b.head.Names = make(map[string]string, 4)
		}
		b.head.Names[key] = name
	}
}

// single reports whether a response has a field of this name once at most. Clients differ in which of two they take, and some take
// none (RFC 9110 §5.3). header('Content-Type: …', false) of PHP makes two. Content-Length is looked at when all of them are known.
func single(key string) bool {
	switch key {
	case "Content-Type", "Location", "Etag", "Last-Modified", "Content-Range":
		return true
	}
	return false
}

// fold adds a folded line to the value that it continues, with one space (RFC 9112 §5.2).
func (b *headBuilder) fold(line string) {
	if b.last == "" || hasControl(line) || b.size > b.limit {
		b.drop("a folded line that continues nothing", line)
		return
	}
	values := b.head.Header[b.last]
	values[len(values)-1] += " " + strings.Trim(line, " \t")
}

// status takes the value of a Status field (RFC 3875 §6.3.3): the number that it begins with, as PHP itself and Apache read it. 600
// to 999 are no statuses of HTTP (RFC 9110 §15), but sites use them, and nginx and Apache send them. Interim ones cannot be sent as
// the last: what follows would be taken for another head. What is joined to the number ("404.5", "404x") is no reason phrase.
func (b *headBuilder) status(line, value string) {
	if b.head.Status != 0 {
		return
	}
	digits := 0
	for digits < len(value) && value[digits] >= '0' && value[digits] <= '9' {
		digits++
	}
	status, err := strconv.ParseUint(value[:digits], 10, 16)
	if err != nil || status < 200 || status > 999 {
		b.drop("a status that is none of a final response", line)
		return
	}
	b.head.Status = int(status)
	joined := value[digits:]
	if reason := strings.Trim(joined, " \t"); joined != "" && (joined[0] == ' ' || joined[0] == '\t') && !hasControl(reason) {
		b.head.Reason = reason
	}
}

// drop notes a line that is left out, shortened.
func (b *headBuilder) drop(reason, line string) {
	const shown = 80
	if len(b.head.Dropped) < maxDropped {
		b.head.Dropped = append(b.head.Dropped, reason+": "+strconv.Quote(line[:min(len(line), shown)]))
	}
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
func (b *headBuilder) singleLength() {
	lengths := b.head.Header["Content-Length"]
	if len(lengths) < 2 {
		return
	}
	for _, l := range lengths[1:] {
		if l != lengths[0] {
			b.drop("several lengths that differ", "Content-Length: "+strings.Join(lengths, ", "))
			delete(b.head.Header, "Content-Length")
			return
		}
	}
	b.head.Header["Content-Length"] = lengths[:1]
}

// removeHopByHop removes what concerns one connection only (RFC 9110 §7.6.1).
func removeHopByHop(h *Head) {
	for _, list := range h.Header["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			h.Header.Del(strings.Trim(name, " \t"))
		}
	}
	for _, name := range [...]string{"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade"} {
		delete(h.Header, name)
	}
}

// canonicalName is the key of a name, and whether the name is spelled in another way. Three names are not worth keeping as a
// script wrote them: net/http looks for them in this form, and every PHP page has the first.
func canonicalName(name string) (key string, own bool) {
	if name == "Content-type" {
		return "Content-Type", false
	}
	key = textproto.CanonicalMIMEHeaderKey(name)
	return key, key != name && key != "Content-Type" && key != "Content-Length" && key != "Date"
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
