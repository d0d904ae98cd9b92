package accesslog

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// combinedLine is a line as log readers take it apart.
var combinedLine = regexp.MustCompile(`^192\.0\.2\.1 - (\S+) \[[^\]]+\] "(?:[^"\\]|\\.)*" 200 7 "(?:[^"\\]|\\.)*" "(?:[^"\\]|\\.)*" \d+\.\d{4} queue=0\.0000 php=0\.0000 pid=- id=-\n$`)

// FuzzAccessLine: whatever a client sends, its line is one, its fields stay its fields, and no byte of it can control a terminal (CWE-117).
func FuzzAccessLine(f *testing.F) {
	f.Add("GET", "/?a=\"b\"", "joe", "https://a/\\", "agent \x1b[31m", "a.test", "failed\n")
	f.Add("G\x9b", "/\n127.0.0.9 - - [forged", "a b [c", "\" 200 1 \"", "\\", "\xff", "")
	f.Add("", "", "-", "-", "\u2028\u202e", "a", "\x00")
	f.Fuzz(func(t *testing.T, method, uri, user, referer, agent, host, failure string) {
		r := &http.Request{Method: method, RequestURI: uri, Proto: "HTTP/1.1", Host: host, Header: http.Header{"Referer": {referer}, "User-Agent": {agent}}}
		x := &Entry{Client: netip.MustParseAddr("192.0.2.1"), User: user, Start: time.Unix(1, 0), Status: 200, Bytes: 7, Err: errors.New(failure)}
		for _, combined := range []bool{false, true} {
			line := string(appendCommonLine(nil, x, r, combined))
			if strings.ContainsFunc(line[:len(line)-1], func(c rune) bool { return c < ' ' || c >= 0x7f }) || !strings.HasSuffix(line, "\n") {
				t.Fatalf("the line is %q", line)
			}
			if m := combinedLine.FindStringSubmatch(line); combined && m == nil {
				t.Fatalf("the line is %q", line)
			}
		}
		line := appendJSONLine(nil, x, r)
		var rec JSONRecord
		if err := json.Unmarshal(line, &rec); err != nil || strings.Count(string(line), "\n") != 1 || strings.ContainsFunc(string(line[:len(line)-1]), func(c rune) bool { return c < ' ' }) {
			t.Fatalf("%v: %q", err, line)
		}
		if utf8.ValidString(uri+user) && (rec.URI != uri || rec.User != user) {
			t.Fatalf("%q of %q is logged as %q of %q", uri, user, rec.URI, rec.User)
		}
	})
}
