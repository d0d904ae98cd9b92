package manager

import (
	"strings"
	"testing"
)

// FuzzOutputLines: however several processes write in turns, each of them has its own bytes in its own lines, in order and all of them;
// no line is longer than the limit, and what is kept of unfinished ones is bounded.
func FuzzOutputLines(f *testing.F) {
	// Of each piece the first byte says who writes, the second how long it is, the third how often it is repeated.
	for _, s := range []string{"", "\x01\x03\x01a\nb\x02\x02\x01c\n\x01\x01\x01d", "\x01\x05\xffabcde\x01\x05\xffabcde", "\x03\x02\x01\r\n\x03\x01\x01\r\x03\x01\x01\n", "\x01\x01\xffx\x02\x01\xffx\x01\x01\x01\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		o, said := newOutputLines(), []outputLine(nil)
		var wrote, got [4]strings.Builder
		for len(in) >= 3 {
			who, n, often := int(in[0]%4), min(int(in[1]), len(in)-3), 1+int(in[2])*4
			piece := []byte(strings.Repeat(string(in[3:3+n]), often))
			in = in[3+n:]
			wrote[who].Write(piece)
			said = o.add(said, 100+who, who, piece)
			held := 0
			for _, l := range o.unfinished {
				if held += len(l.text); len(l.text) > outputLineLimit {
					t.Fatalf("%d bytes of one line are kept", len(l.text))
				}
			}
			if held != o.held || held > outputHeldLimit {
				t.Fatalf("%d bytes are kept, %d are counted", held, o.held)
			}
		}
		said = o.finishAll(said)
		if !o.empty() || o.held != 0 {
			t.Fatalf("%d bytes are left", o.held)
		}
		for _, line := range said {
			if line.text == "" || len(line.text) > outputLineLimit || strings.Contains(line.text, "\n") {
				t.Fatalf("a line of %d bytes: %.100q", len(line.text), line.text)
			}
			got[line.pid].WriteString(line.text)
		}
		ends := strings.NewReplacer("\r", "", "\n", "")
		for who := range wrote {
			if want, got := ends.Replace(wrote[who].String()), ends.Replace(got[who].String()); got != want {
				t.Fatalf("process %d wrote %d bytes, of which %d were said", who, len(want), len(got))
			}
		}
	})
}
