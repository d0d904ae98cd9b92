package linelog

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Visible writes what a client or a script said so that a person or a program can read it in a line: control characters (C0, C1, DEL),
// bidirectional overrides, other characters that are not shown and broken UTF-8 become Go escapes. Such a text can neither forge a
// line (CWE-117) nor steer a terminal (CWE-150, CVE-2021-42574).
func Visible(s string) string {
	if isVisible(s) {
		return s
	}
	return string(AppendVisible(nil, s))
}

// isVisible says whether nothing in s is to be escaped, for the usual case.
func isVisible(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// AppendVisible is Visible for a buffer.
func AppendVisible(b []byte, s string) []byte {
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && size == 1:
			b = append(b, `\x`...)
			b = append(b, strconv.FormatUint(uint64(s[0])|0x100, 16)[1:]...)
		case strconv.IsPrint(r):
			b = append(b, s[:size]...)
		default:
			quoted := strconv.QuoteRuneToASCII(r)
			b = append(b, quoted[1:len(quoted)-1]...)
		}
		s = s[size:]
	}
	return b
}

// VisibleLines is Visible for a text of several lines, which stay, as tabs do.
func VisibleLines(s string) string {
	lines := strings.Split(strings.ReplaceAll(s, "\r\n", "\n"), "\n")
	for i, line := range lines {
		columns := strings.Split(line, "\t")
		for j, column := range columns {
			columns[j] = Visible(column)
		}
		lines[i] = strings.Join(columns, "\t")
	}
	return strings.Join(lines, "\n")
}

// AppendVisibleJSON appends JSON with what [Visible] escapes escaped in JSON's way, so that its values are the same.
func AppendVisibleJSON(b, text []byte) []byte {
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		if r < 0x7f || strconv.IsPrint(r) {
			b = append(b, text[:size]...)
		} else {
			for _, unit := range utf16.AppendRune(nil, r) {
				b = fmt.Appendf(b, `\u%04x`, unit)
			}
		}
		text = text[size:]
	}
	return b
}

// MarshalVisible is a value as JSON with what [Visible] escapes escaped in JSON's way.
func MarshalVisible(value any) ([]byte, error) {
	text, err := json.Marshal(value)
	return AppendVisibleJSON(nil, text), err
}

// VisibleJSON is a writer of JSON lines to w, see [AppendVisibleJSON].
type VisibleJSON struct{ To io.Writer }

func (v VisibleJSON) Write(p []byte) (int, error) {
	if _, err := v.To.Write(AppendVisibleJSON(nil, p)); err != nil {
		return 0, err
	}
	return len(p), nil
}
