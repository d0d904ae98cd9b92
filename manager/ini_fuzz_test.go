package manager

import (
	"strings"
	"testing"
)

// scanINI reads NAME = VALUE of an ini file as PHP's scanner does (Zend/zend_ini_scanner.l), as far as quoteINI uses it: pieces in
// single quotes are raw, in double quotes a backslash takes \ and " as they are, and pieces that follow each other are one value. ok is
// false where PHP would expand something, or where the value ends before the line does. rest is what follows the line.
func scanINI(text string) (name, value, rest string, ok bool) {
	name, text, ok = strings.Cut(text, " = ")
	if !ok || strings.ContainsAny(name, "\n;=\"'[]{}|&~!()^$ \t") {
		return name, "", text, false
	}
	var b strings.Builder
	for {
		switch {
		case strings.HasPrefix(text, "'"):
			piece, after, closed := strings.Cut(text[1:], "'")
			if !closed {
				return name, "", text, false
			}
			b.WriteString(piece)
			text = after
		case strings.HasPrefix(text, `"`):
			i := 1
			for ; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '$' {
					return name, "", text, false
				}
				if text[i] == '\\' && i+1 < len(text) && (text[i+1] == '\\' || text[i+1] == '"') {
					i++
				}
				b.WriteByte(text[i])
			}
			if i >= len(text) {
				return name, "", text, false
			}
			text = text[i+1:]
		default:
			return name, b.String(), strings.TrimPrefix(text, "\n"), strings.HasPrefix(text, "\n")
		}
	}
}

// FuzzINI: what may be set is written so that PHP reads back the same name and value, and whatever is written next is the next setting.
func FuzzINI(f *testing.F) {
	for _, kv := range []string{
		"precision=5", "a=", "a='", `a="`, `a=\`, `a=it's ${HOME} \ "x"`, "a=b\nc=d", "a=b'\nextension=x.so\n'", "a=\x00", "a b=c", "a[b]=c", "a.b-c_d=;#", "=", "a=''", "é=1", "a=\r\n[PATH=/]",
	} {
		f.Add(kv)
	}
	f.Fuzz(func(t *testing.T, kv string) {
		name, value, _ := strings.Cut(kv, "=")
		err := CheckINI(kv)
		quoted, quoteErr := quoteINI(value)
		if err != nil {
			return
		}
		if quoteErr != nil {
			t.Fatalf("%q may be set, but: %v", kv, quoteErr)
		}
		gotName, gotValue, rest, ok := scanINI(name + " = " + quoted + "\nnext = 'x'\n")
		if !ok || gotName != name || gotValue != value {
			t.Fatalf("%q is written as %q and read as %q = %q (%v)", kv, quoted, gotName, gotValue, ok)
		}
		if next, x, _, ok := scanINI(rest); !ok || next != "next" || x != "x" {
			t.Fatalf("behind %q comes %q = %q", quoted, next, x)
		}
	})
}
