package linelog

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// hostile are texts that forge lines or steer terminals, with what is shown of them.
var hostile = map[string]string{
	"plain ü 漢":       "plain ü 漢",
	"a\nforged line":  `a\nforged line`,
	"\r\x00\x7f":      `\r\x00\x7f`,
	"\x1b[2Jgone":     `\x1b[2Jgone`,
	"\x9b31m":         `\x9b31m`,
	"\u009b31m":       `\u009b31m`,
	"\u202egpj.exe":   `\u202egpj.exe`,
	"\u2028\ufeff":    `\u2028\ufeff`,
	"broken \xff\xc3": `broken \xff\xc3`,
	"\U000e0041":      `\U000e0041`,
}

func TestVisibleTextCannotForgeLinesOrSteerTerminals(t *testing.T) {
	for text, want := range hostile {
		if got := Visible(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
		if got := Visible(Visible(text)); got != want {
			t.Errorf("%q: twice it is %q", text, got)
		}
		lines := VisibleLines("a\t" + text + "\r\nb")
		if want := "a\t" + strings.ReplaceAll(want, `\n`, "\n") + "\nb"; lines != want {
			t.Errorf("%q: lines %q, want %q", text, lines, want)
		}
	}
}

func TestVisibleJSONHasTheSameValues(t *testing.T) {
	for text := range hostile {
		whole, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if _, err := (VisibleJSON{&b}).Write(whole); err != nil {
			t.Fatal(err)
		}
		var before, after string
		if json.Unmarshal(whole, &before) != nil || json.Unmarshal(b.Bytes(), &after) != nil || before != after {
			t.Errorf("%q: %s is %q, was %q", text, &b, after, before)
		}
		if strings.ContainsAny(b.String(), "\x1b\u009b\u202e\x7f") {
			t.Errorf("%q: raw in %s", text, &b)
		}
	}
}
