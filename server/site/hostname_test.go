package site

import "testing"

func TestASCIIHostIsTheNameThatBrowsersSend(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{
		"shop.example": "shop.example", "Shop.Example.": "Shop.Example.", "*.shop.example": "*.shop.example", "a_b.example": "a_b.example",
		"xn--bcher-kva.example": "xn--bcher-kva.example", "127.0.0.1": "127.0.0.1", "::1": "::1",
		"bücher.example": "xn--bcher-kva.example", "BÜCHER.example": "xn--bcher-kva.example", "*.bücher.example": "*.xn--bcher-kva.example",
		"bu\u0308cher.example":    "xn--bcher-kva.example", // not composed, as files of macOS have it
		"bücher.example.":         "xn--bcher-kva.example.",
		"faß.example":             "xn--fa-hia.example",     // IDNA 2008, as all browsers: not fass
		"bücher。example":          "xn--bcher-kva.example",  // the dot of Chinese and Japanese keyboards
		"例え.テスト":                  "xn--r8jz45g.xn--zckzah", //
		"пример.испытание":        "xn--e1afmkfd.xn--80akhbyknj4f",
		"☃.example":               "xn--n3h.example",
		"i❤.example":              "xn--i-7iq.example",
		"a_b.bücher.example":      "a_b.xn--bcher-kva.example",
		"www.bücher.xn--p1ai":     "www.xn--bcher-kva.xn--p1ai",
		"ｂücher.example":          "xn--bcher-kva.example", // a letter of full width
		"مثال.إختبار":             "xn--mgbh0fb.xn--kgbechtv",
		"straße.Bücher.EXAMPLE":   "xn--strae-oqa.xn--bcher-kva.example",
		"b\u00fccher.b\u00fccher": "xn--bcher-kva.xn--bcher-kva",
	} {
		if got, err := ASCIIHost(host); err != nil || got != want {
			t.Errorf("ASCIIHost(%q) = %q, %v, want %q", host, got, err, want)
		}
	}
	for _, host := range []string{"\xff.example", "ü\xff.example", "a\u200d.example", "ا1a.example"} {
		if got, err := ASCIIHost(host); err == nil {
			t.Errorf("ASCIIHost(%q) = %q and no error", host, got)
		}
	}
}
