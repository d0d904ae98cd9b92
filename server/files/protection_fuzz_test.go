package files

import (
	"strings"
	"testing"
)

// FuzzProtection: what is denied is so in any case of letters, wherever it lies and with more slashes, and a deny pattern denies the
// name that it spells.
func FuzzProtection(f *testing.F) {
	for _, s := range []string{".env", "a.php", "dump.sql", "x.php~", ".well-known/acme-challenge/t", "vendor/a.js", "composer.json", "ſ.ſql", "a.bak/b", "A.PHP.OLD"} {
		f.Add(s)
	}
	p := NewProtection([]string{DenyDefault}, []string{".php"})
	f.Fuzz(func(t *testing.T, name string) {
		path, err := CleanPath("/" + name)
		if err != nil {
			return
		}
		rule, denied := p.Denied(path, false)
		if (rule != "") != denied {
			t.Fatalf("%q: rule %q, denied %v", path, rule, denied)
		}
		if !denied {
			return
		}
		for _, other := range []string{"/" + path, strings.ReplaceAll(path, "/", "//"), asciiUpper(path)} {
			if _, again := p.Denied(other, false); !again {
				t.Fatalf("%q is denied (%s), but not %q", path, rule, other)
			}
		}
	})
}

// asciiUpper is s with capital letters.
func asciiUpper(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			return r - 'a' + 'A'
		}
		return r
	}, s)
}
