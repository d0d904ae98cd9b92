package phpstack

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/phpserve/phpserve/internal/patient"
)

// manyCalls goes through many functions, some of which are made and freed at the same addresses again and again.
const manyCalls = `<?php
class A { function work($n) { return inner($n); } static function s($n) { return (new A)->work($n); } }
function inner($n) { $f = function ($n) { usleep(4000); return $n; }; return $f($n); }
for ($i = 0; ; $i++) {
	A::s($i);
	eval('function e' . $i . '_first($n) { usleep(4000); return $n; } e' . $i . '_first(1);');
	$c = eval('return function ($n) { return e' . $i . '_first($n); };');
	$c($i);
	include 'DIR/part.php';
}
`

// TestWhatIsRememberedIsWhatIsThere: a stack from what is remembered of a process is the one that is read anew.
func TestWhatIsRememberedIsWhatIsThere(t *testing.T) {
	for _, binary := range binaries(t) {
		t.Run(binary, func(t *testing.T) {
			s := start(t, binary, manyCalls, map[string]string{"part.php": `<?php (new A)->work($i);`})
			p := s.attached()
			known := newRecall()
			names, compared := map[string]bool{}, 0
			evaluated := func() (n int) {
				for name := range names {
					var number int
					if _, err := fmt.Sscanf(name, "e%d_first", &number); err == nil {
						n++
					}
				}
				return n
			}
			for least, end := time.Now().Add(3*time.Second), patient.LastMoment(); time.Now().Before(end); {
				if time.Now().After(least) && names["A->work"] && names["inner"] && evaluated() >= 10 && compared >= 20 {
					break
				}
				start := time.Now()
				before, err1 := p.Trace(Options{})
				got, err2 := p.sample(Options{}, known)
				after, err3 := p.Trace(Options{})
				if err1 != nil || err2 != nil || err3 != nil {
					continue
				}
				for _, f := range got.Frames {
					names[f.Name()] = true
					if f.Class != "" && f.Class != "A" || strings.Contains(f.File, "\x00") || f.Line > 12 {
						t.Fatalf("there is no %+v", f)
					}
				}
				if time.Since(start) < 3*time.Millisecond && reflect.DeepEqual(before.Frames, after.Frames) { // then it was so meanwhile, too
					compared++
					if !reflect.DeepEqual(got.Frames, before.Frames) {
						t.Fatalf("remembered: %+v\nread: %+v", got.Frames, before.Frames)
					}
				}
			}
			if !names["A->work"] || !names["inner"] || evaluated() < 10 || compared < 20 {
				t.Errorf("%d stacks were compared, with %d evaluated functions: %v", compared, evaluated(), names)
			}
		})
	}
}

// BenchmarkSample is what one look of a profile costs, and BenchmarkTrace one that remembers nothing.
func BenchmarkSample(b *testing.B) {
	p := benchmarked(b)
	known := newRecall()
	for b.Loop() {
		if _, err := p.sample(Options{}, known); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTrace(b *testing.B) {
	p := benchmarked(b)
	for b.Loop() {
		if _, err := p.Trace(Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

// benchmarked runs a script that computes in functions of its own.
func benchmarked(b *testing.B) *Process {
	b.Helper()
	code := `<?php function leaf($i) { return $i * 7 % 1000003; } function node($n) { for ($i = 0, $s = 0; $i < 1000; $i++) { $s += leaf($i + $s); } return $s; }
function main() { while (true) { node(1); } } main();`
	return start(b, binaries(b)[0], code, nil).attached()
}
