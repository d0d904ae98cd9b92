package fpmconf

import (
	"fmt"
	"strconv"
	"strings"
)

// maxDepth is how many "!", "~" and "(" one value may nest: php-src's parser gives up at a stack of YYMAXDEPTH.
const maxDepth = 9995

// handler receives what the lines of a file say.
type handler interface {
	section(name string)
	// entry receives name = value; value is nil for a name alone.
	entry(name string, value *string)
	array(name, key, value string)
	// syntaxError receives the parser's complaint.
	syntaxError(text string)
	lookupEnv(name string) string
	lookupConstant(name string) (string, bool)
}

// parser reads one line by the grammar of php-src Zend/zend_ini_parser.y. It is written by hand, but reports statements and
// names expected tokens where the generated parser does.
type parser struct {
	*lexer
	h     handler
	tok   token
	text  string
	depth int
}

// parseLine feeds the line, which has its newline, to h and reports whether its syntax is good.
func parseLine(line []byte, h handler) bool {
	p := &parser{lexer: newLexer(line), h: h}
	p.advance()
	for p.tok != tokEnd {
		if !p.statement() {
			return false
		}
	}
	return true
}

func (p *parser) advance() { p.tok, p.text = p.next() }

func (p *parser) fail(expected ...string) bool {
	s := "syntax error, unexpected " + p.tok.String()
	if len(expected) > 0 {
		s += ", expecting " + strings.Join(expected, " or ")
	}
	p.h.syntaxError(fmt.Sprintf("PHP:  %s in Unknown on line %d", s, p.line))
	return false
}

// expect passes over one token.
func (p *parser) expect(tok token) bool {
	if p.tok != tok {
		return p.fail(tok.String())
	}
	p.advance()
	return true
}

func (p *parser) statement() bool {
	name := p.text
	switch p.tok {
	case tokEndOfLine:
		p.advance()
		return true
	case tokSection:
		p.advance()
		name, ok := p.words(false)
		if !ok {
			return false
		}
		if p.tok != ']' {
			return p.fail("']'")
		}
		p.h.section(name)
		p.advance()
		return true
	case tokLabel:
		p.advance()
		if p.tok != '=' {
			p.h.entry(name, nil)
			return true
		}
		p.advance()
		return p.value(func(value string) { p.h.entry(name, &value) })
	case tokOffset:
		p.advance()
		key, ok := p.words(true)
		if !ok || !p.expect(']') || !p.expect('=') {
			return false
		}
		return p.value(func(value string) { p.h.array(name, key, value) })
	}
	return p.fail()
}

// value reads what follows "=" and calls done with it before it looks for the next statement.
func (p *parser) value(done func(string)) bool {
	switch p.tok {
	case tokTrue, tokFalse, tokNull:
		done(p.text)
		p.advance()
		return true
	case tokEndOfLine:
		done("")
		p.advance()
		return true
	}
	v, ok := p.expr()
	if ok {
		done(v)
	}
	return ok
}

// expr reads operands joined by "|", "&" and "^", which rank alike.
func (p *parser) expr() (string, bool) {
	v, ok := p.operand()
	for ok && (p.tok == '|' || p.tok == '&' || p.tok == '^') {
		op := p.tok
		p.advance()
		var w string
		if w, ok = p.operand(); !ok {
			break
		}
		a, b := atoi(v), atoi(w)
		switch op {
		case '|':
			a |= b
		case '&':
			a &= b
		case '^':
			a ^= b
		}
		v = strconv.Itoa(int(a))
	}
	return v, ok
}

func (p *parser) operand() (string, bool) {
	op := p.tok
	switch op {
	case '~', '!', '(':
		p.depth++
		defer func() { p.depth-- }()
		if p.depth >= maxDepth {
			p.h.syntaxError(fmt.Sprintf("PHP:  memory exhausted in Unknown on line %d", p.line))
			return "", false
		}
		p.advance()
	case tokConstant, tokRaw, tokNumber, tokString, tokWhitespace, tokDollarCurly, '"':
		return p.words(true)
	default:
		return "", p.fail()
	}
	if op == '(' {
		v, ok := p.expr()
		if ok && p.tok != ')' {
			return "", p.fail("'^'", "'|'", "'&'", "')'")
		}
		if ok {
			p.advance()
		}
		return v, ok
	}
	v, ok := p.operand()
	n := atoi(v)
	switch {
	case op == '~':
		n = ^n
	case n == 0:
		n = 1
	default:
		n = 0
	}
	return strconv.Itoa(int(n)), ok
}

// words reads and joins bare words, quoted texts and variables, of which there may be none. Names of constants count as such
// everywhere but in the names of sections.
func (p *parser) words(constants bool) (string, bool) {
	var b strings.Builder
	for {
		switch p.tok {
		case tokConstant:
			v, ok := "", false
			if constants {
				v, ok = p.h.lookupConstant(p.text)
			}
			if !ok {
				v = p.text
			}
			b.WriteString(v)
			p.advance()
		case tokRaw, tokNumber, tokString, tokWhitespace:
			b.WriteString(p.text)
			p.advance()
		case tokDollarCurly:
			if !p.variable(&b) {
				return "", false
			}
		case '"':
			if !p.quoted(&b) {
				return "", false
			}
		default:
			return b.String(), true
		}
	}
}

func (p *parser) variable(b *strings.Builder) bool {
	p.advance()
	name := p.text
	if !p.expect(tokVarname) {
		return false
	}
	if p.tok != '}' {
		return p.fail("'}'")
	}
	b.WriteString(p.h.lookupEnv(name))
	p.advance()
	return true
}

func (p *parser) quoted(b *strings.Builder) bool {
	p.advance()
	for p.tok != '"' {
		switch p.tok {
		case tokQuoted:
			b.WriteString(p.text)
			p.advance()
		case tokDollarCurly:
			if !p.variable(b) {
				return false
			}
		default:
			return p.fail(tokDollarCurly.String(), tokQuoted.String(), "'\"'")
		}
	}
	p.advance()
	return true
}
