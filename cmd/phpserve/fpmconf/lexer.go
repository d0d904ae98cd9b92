package fpmconf

import (
	"bytes"
	"strings"
)

// token is a kind of token, named in errors as php-src Zend/zend_ini_parser.y names it. Kinds below 256 are characters.
type token int

const (
	tokEnd token = iota + 256
	tokSection
	tokRaw
	tokConstant
	tokNumber
	tokString
	tokWhitespace
	tokLabel
	tokOffset
	tokDollarCurly
	tokVarname
	tokQuoted
	tokTrue
	tokFalse
	tokNull
	tokEndOfLine
)

func (t token) String() string {
	if t < tokEnd {
		return "'" + string(rune(t)) + "'"
	}
	return [...]string{
		"end of file", "TC_SECTION", "TC_RAW", "TC_CONSTANT", "TC_NUMBER", "TC_STRING", "TC_WHITESPACE", "TC_LABEL", "TC_OFFSET",
		"TC_DOLLAR_CURLY", "TC_VARNAME", "TC_QUOTED_STRING", "BOOL_TRUE", "BOOL_FALSE", "NULL_NULL", "END_OF_LINE",
	}[t-tokEnd]
}

type lexState int

const (
	stateInitial lexState = iota
	stateValue
	stateSection
	stateOffset
	stateQuotes
	stateVarname
)

// lexer cuts one physical line into tokens as php-src Zend/zend_ini_scanner.l:ini_lex does in NORMAL mode: the longest match
// wins, and of two equally long ones the rule that comes first. A match that would run over the end of the text ends it.
type lexer struct {
	text  []byte // one line and its newline, up to the first NUL
	pos   int
	line  int // line in the text, for errors: 2 behind the newline
	state lexState
	stack []lexState // left by "${" and '"'
}

func newLexer(line []byte) *lexer {
	if i := bytes.IndexByte(line, 0); i >= 0 {
		line = line[:i]
	}
	return &lexer{text: line, line: 1}
}

func (x *lexer) next() (token, string) {
	for {
		if x.pos >= len(x.text) {
			if x.state == stateValue {
				x.state = stateInitial
				return tokEndOfLine, ""
			}
			return tokEnd, ""
		}
		if x.pos == 0 && len(x.text) > 3 && bytes.HasPrefix(x.text, []byte("\xef\xbb\xbf")) {
			x.pos = 3
			continue
		}
		switch x.state {
		case stateInitial:
			if tok, s, ok := x.initial(); ok {
				return tok, s
			}
		case stateQuotes:
			return x.quotes()
		case stateVarname:
			return x.varname()
		case stateValue, stateSection, stateOffset:
			return x.value()
		}
	}
}

// initial reads the part before "=". ok is false when it has skipped blanks.
func (x *lexer) initial() (tok token, s string, ok bool) {
	if x.text[x.pos] == '[' {
		x.state = stateSection
		return x.take(tokSection, 1)
	}
	blanks := x.blanks(x.pos)
	if after := x.pos + blanks; after < len(x.text) {
		switch x.text[after] {
		case '=':
			x.state = stateValue
			return x.take('=', blanks+1+x.blanks(after+1))
		case '\n', '\r', ';':
			return x.endOfLine(after)
		}
	}
	label := x.label(x.pos)
	end := x.pos + label
	if end == len(x.text) {
		return tokEnd, "", true
	}
	if label > 0 && x.text[end] == '[' {
		name := strings.TrimLeft(string(x.text[x.pos:end]), " ")
		x.state = stateOffset
		x.pos = end + 1 + x.blanks(end+1)
		return tokOffset, strings.TrimRight(name, " "), true
	}
	if tok, value, n := x.keyword(); n > 0 && n >= label {
		x.pos += n
		return tok, value, true
	}
	if label > 0 && label >= blanks {
		name := strings.Trim(string(x.text[x.pos:end]), " ")
		x.pos = end
		return tokLabel, name, true
	}
	if blanks > 0 {
		x.pos += blanks
		return 0, "", false
	}
	return x.take(token(x.text[x.pos]), 1)
}

// value reads after "=", inside "[...]" of a section and inside "[...]" of an array entry, which differ little.
func (x *lexer) value() (token, string) {
	blanks := x.blanks(x.pos)
	c, after := x.text[x.pos], byte(0)
	if x.pos+blanks < len(x.text) {
		after = x.text[x.pos+blanks]
	}
	switch {
	case c == '\'':
		return x.singleQuotes()
	case c == '$' && x.at(x.pos+1) == '{':
		return x.push(stateVarname, tokDollarCurly, 2)
	case after == '"':
		return x.push(stateQuotes, '"', blanks+1)
	case x.state == stateSection && c == ']':
		n := 1 + x.blanks(x.pos+1)
		n += x.newline(x.pos + n)
		x.line++
		x.state = stateInitial
		x.pos += n
		return ']', ""
	case x.state == stateOffset && after == ']':
		x.state = stateInitial
		x.pos += blanks + 1
		return ']', ""
	}
	if x.state == stateValue {
		switch {
		case after == '\n' || after == '\r' || after == ';':
			tok, s, _ := x.endOfLine(x.pos + blanks)
			return tok, s
		case strings.IndexByte("&|^~()!", c) >= 0:
			tok, s, _ := x.take(token(c), 1+x.blanks(x.pos+1))
			return tok, s
		case c == '=':
			x.state = stateInitial
			return tokEndOfLine, ""
		}
	}
	return x.word(blanks)
}

// word reads a bare word, number, keyword or blanks.
func (x *lexer) word(blanks int) (token, string) {
	run := x.run()
	if x.state != stateValue && x.pos+run == len(x.text) {
		return tokEnd, "" // the run of a section or a key would go on behind the end
	}
	tok, n := tokString, run
	if id := x.identifier(); id > 0 && id >= n {
		tok, n = tokConstant, id
	}
	if isNumber(x.text[x.pos : x.pos+n]) {
		tok = tokNumber
	}
	if x.state == stateValue {
		if kind, value, length := x.keyword(); length > 0 && length >= n {
			x.pos += length
			return kind, value
		}
	}
	if blanks > n {
		tok, n = tokWhitespace, blanks
	}
	if n > 0 {
		tok, s, _ := x.take(tok, n)
		return tok, s
	}
	if x.state == stateValue {
		x.pos++
		x.state = stateInitial
		return tokEndOfLine, ""
	}
	return tokEnd, ""
}

// singleQuotes reads 'text', which must not be empty.
func (x *lexer) singleQuotes() (token, string) {
	end := bytes.IndexByte(x.text[x.pos+1:], '\'')
	switch {
	case end < 0:
		return tokEnd, ""
	case end > 0:
		s := string(x.text[x.pos+1 : x.pos+1+end])
		x.pos += end + 2
		return tokRaw, s
	case x.state == stateValue:
		x.pos++
		x.state = stateInitial
		return tokEndOfLine, ""
	}
	return tokEnd, ""
}

// quotes reads inside "...".
func (x *lexer) quotes() (token, string) {
	switch c := x.text[x.pos]; {
	case c == '"':
		x.pop()
		tok, s, _ := x.take('"', 1+x.blanks(x.pos+1))
		return tok, s
	case c == '$' && x.at(x.pos+1) == '{':
		return x.push(stateVarname, tokDollarCurly, 2)
	}
	end := x.pos
scan:
	for ; end < len(x.text); end++ {
		switch x.text[end] {
		case '"':
			break scan
		case '$':
			if x.at(end+1) == '{' {
				break scan
			}
		case '\\':
			// A backslash protects the next character, except a quote that ends the line: path = "C:\dir\".
			if end+1 < len(x.text) {
				end++
				if next := x.at(end + 1); x.text[end] == '"' && (end+1 >= len(x.text) || next == '\n' || next == '\r') {
					break scan
				}
			}
		}
	}
	s := x.text[x.pos:end]
	x.pos = end
	return tokQuoted, x.unescape(s)
}

// unescape removes the backslashes before quotes, backslashes and dollars, and counts the newlines.
func (x *lexer) unescape(s []byte) string {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
			if c := s[i]; c != '"' && c != '\\' && c != '$' {
				out = append(out, '\\')
			}
		}
		out = append(out, s[i])
		if s[i] == '\n' || s[i] == '\r' && (i+1 >= len(s) || s[i+1] != '\n') {
			x.line++
		}
	}
	return string(out)
}

// varname reads inside "${...}".
func (x *lexer) varname() (token, string) {
	if x.text[x.pos] == '}' {
		x.pop()
		x.pos++
		return '}', ""
	}
	n := x.label(x.pos)
	if n == 0 || x.pos+n == len(x.text) {
		return tokEnd, ""
	}
	s := strings.Trim(string(x.text[x.pos:x.pos+n]), " ")
	x.pos += n
	return tokVarname, s
}

// endOfLine takes a newline or a comment at i. A comment without a newline would run over the end of the text.
func (x *lexer) endOfLine(i int) (token, string, bool) {
	if x.text[i] == ';' {
		n := bytes.IndexAny(x.text[i:], "\r\n")
		if n < 0 {
			return tokEnd, "", true
		}
		i += n
	}
	x.pos = i + x.newline(i)
	x.line++
	x.state = stateInitial
	return tokEndOfLine, "", true
}

func (x *lexer) take(tok token, n int) (token, string, bool) {
	s := string(x.text[x.pos : x.pos+n])
	x.pos += n
	return tok, s, true
}

func (x *lexer) push(to lexState, tok token, n int) (token, string) {
	x.stack = append(x.stack, x.state)
	x.state = to
	x.pos += n
	return tok, ""
}

func (x *lexer) pop() {
	x.state = x.stack[len(x.stack)-1]
	x.stack = x.stack[:len(x.stack)-1]
}

// at is the character at i, or NUL behind the end.
func (x *lexer) at(i int) byte {
	if i < len(x.text) {
		return x.text[i]
	}
	return 0
}
