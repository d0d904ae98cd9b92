package files

import (
	"net/http"
	"strings"
	"time"
)

// validators are what the conditions of a request are compared with. The tag is a strong one; modified is zero where a file
// has no time that may be told.
type validators struct {
	etag     string
	modified time.Time
}

// precondition evaluates a request's conditions in the order of RFC 9110 section 13.2.2. It returns the status that answers
// the request, or 0 where it goes on.
func (v validators) precondition(r *http.Request) int {
	h := r.Header
	if tags, ok := h["If-Match"]; ok {
		if !matchesTag(tags, v.etag, false) {
			return http.StatusPreconditionFailed
		}
	} else if since, ok := dateOf(h["If-Unmodified-Since"]); ok && !v.modified.IsZero() && v.seconds().After(since) {
		return http.StatusPreconditionFailed
	}
	if tags, ok := h["If-None-Match"]; ok {
		if matchesTag(tags, v.etag, true) {
			return http.StatusNotModified
		}
	} else if since, ok := dateOf(h["If-Modified-Since"]); ok && !v.modified.IsZero() && !v.seconds().After(since) {
		return http.StatusNotModified
	}
	return 0
}

// wantsRange says whether the Range field of a GET counts: not if its If-Range is of another representation. Only a strong
// validator tells (RFC 9110 section 13.1.5), and a date is one only if the file was at rest for a second by now (section
// 8.8.2.2): a change within the same second would have the same date.
func (v validators) wantsRange(r *http.Request, now time.Time) bool {
	values, ok := r.Header["If-Range"]
	if !ok {
		return true
	}
	if len(values) != 1 {
		return false
	}
	value := strings.Trim(values[0], " \t")
	if strings.HasPrefix(value, `"`) || strings.HasPrefix(value, "W/") {
		return value == v.etag
	}
	date, ok := dateOf(values)
	return ok && !v.modified.IsZero() && date.Equal(v.seconds()) && now.Sub(v.seconds()) >= time.Second
}

// seconds is when the file was modified, as exactly as HTTP tells it.
func (v validators) seconds() time.Time { return v.modified.Truncate(time.Second) }

// matchesTag says whether one of the entity tags of a field's lines is etag, or the only one is "*". A weak comparison does
// not regard the W/ of a tag, a strong one never takes a tag that has it (RFC 9110 section 8.8.3.2). What is no tag ends
// the list.
func matchesTag(lines []string, etag string, weak bool) bool {
	if len(lines) == 1 && strings.Trim(lines[0], " \t") == "*" {
		return true
	}
	for _, line := range lines {
		for {
			line = strings.TrimLeft(line, " \t,")
			tag, isWeak := strings.CutPrefix(line, "W/")
			if !strings.HasPrefix(tag, `"`) {
				break
			}
			end := strings.IndexByte(tag[1:], '"')
			if end < 0 {
				break
			}
			if tag[:end+2] == etag && (weak || !isWeak) {
				return true
			}
			line = tag[end+2:]
		}
	}
	return false
}

// dateOf reads a field whose value is one date, in any of the three forms of RFC 9110 section 5.6.7. Another value, or
// several, is to be ignored.
func dateOf(lines []string) (time.Time, bool) {
	if len(lines) != 1 {
		return time.Time{}, false
	}
	text := strings.Trim(lines[0], " \t")
	t, err := http.ParseTime(text)
	if err != nil {
		return time.Time{}, false
	}
	// A year of two digits is the latest one that is not more than 50 years ahead.
	if _, err := time.Parse(time.RFC850, text); err == nil {
		for now := time.Now().Year(); t.Year()+100 <= now+50; {
			t = t.AddDate(100, 0, 0)
		}
	}
	return t, true
}
