package fpmconf

import "strings"

// The functions of this file measure how much of the text a pattern matches; none moves the lexer.

func (x *lexer) blanks(i int) int {
	n := i
	for n < len(x.text) && (x.text[n] == ' ' || x.text[n] == '\t') {
		n++
	}
	return n - i
}

func (x *lexer) newline(i int) int {
	switch {
	case x.at(i) == '\r' && x.at(i+1) == '\n':
		return 2
	case x.at(i) == '\r' || x.at(i) == '\n':
		return 1
	}
	return 0
}

func (x *lexer) label(i int) int {
	n := i
	for n < len(x.text) && strings.IndexByte("=\n\r\t;&|^$~(){}!\"[", x.text[n]) < 0 {
		n++
	}
	return n - i
}

// identifier measures the name of a constant.
func (x *lexer) identifier() int {
	n := x.pos
	for ; n < len(x.text); n++ {
		switch c := x.text[n]; {
		case c == '_', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9' && n > x.pos:
			continue
		}
		break
	}
	return n - x.pos
}

// keyword measures a boolean or null with the blanks behind it.
func (x *lexer) keyword() (tok token, value string, length int) {
	rest := x.text[x.pos:]
	for _, k := range [...]struct {
		name  string
		tok   token
		value string
	}{
		{"true", tokTrue, "1"},
		{"on", tokTrue, "1"},
		{"yes", tokTrue, "1"},
		{"false", tokFalse, ""},
		{"off", tokFalse, ""},
		{"none", tokFalse, ""},
		{"no", tokFalse, ""},
		{"null", tokNull, ""},
	} {
		if n := len(k.name); len(rest) >= n && strings.EqualFold(string(rest[:n]), k.name) {
			return k.tok, k.value, n + x.blanks(x.pos+n)
		}
	}
	return 0, "", 0
}

// run measures the longest bare text. A dollar takes the next character with it whatever that is, and a backslash takes the
// next one behind a dollar and, in sections and keys, everywhere: so several ways may lead through the text, of which the
// longest counts.
func (x *lexer) run() int {
	stops, escapes := "$= \t\n\r;&|^~()!\"'", false
	if x.state != stateValue {
		stops, escapes = "$\n\r;\"']\\", true
	}
	longest := 0
	reach := [4]bool{true} // whether a way leads to i, i+1, i+2, i+3
	for i := x.pos; i < len(x.text) && reach != [4]bool{}; i++ {
		if reach[0] {
			c := x.text[i]
			switch {
			case strings.IndexByte(stops, c) < 0:
				reach[1] = true
			case c == '\\' && escapes && i+1 < len(x.text):
				reach[2] = true
			case c == '$' && i+1 < len(x.text) && x.text[i+1] != '{':
				reach[2] = true
				reach[3] = x.text[i+1] == '\\' && i+2 < len(x.text)
			}
		}
		for k := 1; k < len(reach); k++ {
			if reach[k] {
				longest = max(longest, i+k-x.pos)
			}
		}
		copy(reach[:], reach[1:])
		reach[3] = false
	}
	return longest
}

// isNumber reports whether s is digits, digits with one dot, or a minus and digits.
func isNumber(s []byte) bool {
	digits, dots, minus := 0, 0, 0
	for i, c := range s {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c == '.':
			dots++
		case c == '-' && i == 0:
			minus++
		default:
			return false
		}
	}
	return digits > 0 && dots+minus <= 1
}
