package phpstack

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/pprof/profile"
)

// example is a stack with one of each: an extension's function, a method, an eval, an include, the main script.
func example() Stack {
	return Stack{PID: 7, Script: "/srv/a.php", Frames: []Frame{
		{Address: 0x7f0000000500, Call: CallInternal, Function: "sleep", CallFile: "/srv/b.php", CallLine: 3, Args: []Arg{{"seconds", "1"}}},
		{
			Address: 0x7f0000000400, Call: CallFunction, Function: "find", Class: "Repo", File: "/srv/b.php", Line: 3,
			CallFile: "/srv/b.php(9) : eval()'d code", CallLine: 1, Args: []Arg{{"password", Masked}}, MoreArgs: 2,
		},
		{
			Address: 0x7f0000000300, Call: CallEval, File: "/srv/b.php(9) : eval()'d code", Line: 1,
			CallFile: "/srv/b.php", CallLine: 9,
		},
		{Address: 0x7f0000000200, bare: true},
		{Address: 0x7f0000000100, Call: CallRequire, File: "/srv/b.php", Line: 9, CallFile: "/srv/a.php", CallLine: 4},
		{Address: 0x7f0000000080, Call: CallMain, File: "/srv/a.php", Line: 4},
	}}
}

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestWriteSlowLogStopsAtItsDepthAndBeforeTheMainScript(t *testing.T) {
	all := `
[23-Nov-2026 12:00:00]  [pool www] pid 7
script_filename = /srv/a.php
[0x00007f0000000500] sleep() /srv/b.php:3
[0x00007f0000000400] find() /srv/b.php(9) : eval()'d code:1
[0x00007f0000000300] [INCLUDE_OR_EVAL]() /srv/b.php:9
[0x00007f0000000200] ???() unknown:0
[0x00007f0000000100] [INCLUDE_OR_EVAL]() /srv/a.php:4
`
	for depth, want := range map[int]string{0: all, 20: all, 1: strings.Join(strings.SplitAfter(all, "\n")[:4], "")} {
		var out bytes.Buffer
		if err := WriteSlowLog(&out, Slow{Time: noon, Pool: "www", Stack: example(), Depth: depth}); err != nil {
			t.Fatal(err)
		}
		if out.String() != want {
			t.Errorf("with depth %d it is %s, not %s", depth, out.String(), want)
		}
	}
	var out bytes.Buffer
	WriteSlowLog(&out, Slow{Time: noon, Pool: "www", Stack: Stack{PID: 7}, Err: io.EOF})
	if want := "\n[23-Nov-2026 12:00:00]  [pool www] pid 7\n+++ dump failed\n"; out.String() != want {
		t.Errorf("a failure is %q, not %q", out.String(), want)
	}
}

func TestWriteReportSaysWhoseRequestWaitsWhere(t *testing.T) {
	var out bytes.Buffer
	err := WriteReport(&out, Slow{
		Time: noon, Pool: "www", Stack: example(), Running: 1500 * time.Millisecond, Method: "GET", URI: "/a.php?x=\x1b[31m\n",
		Client: "192.0.2.1", RequestID: "id-1",
	})
	want := `
[23-Nov-2026 12:00:00] [pool www] pid 7 running for 1.500s
request = GET /a.php?x=\x1b[31m\n
client = 192.0.2.1
request_id = id-1
script = /srv/a.php
#0 sleep($seconds = 1)
#1 Repo->find($password = ***, 2 more) /srv/b.php:3
#2 eval /srv/b.php(9) : eval()'d code:1
#3 require /srv/b.php:9
#4 {main} /srv/a.php:4
`
	if err != nil || out.String() != want {
		t.Errorf("the report is %s, %v, not %s", out.String(), err, want)
	}
	out.Reset()
	WriteReport(&out, Slow{Time: noon, Pool: "www", Stack: example(), Depth: 2})
	if !strings.HasSuffix(out.String(), "eval()'d code:1\n... and those that called them\n") &&
		!strings.HasSuffix(out.String(), "/srv/b.php:3\n... and those that called them\n") {
		t.Errorf("the report of two frames is %s", out.String())
	}
	out.Reset()
	WriteReport(&out, Slow{Time: noon, Pool: "www", Err: errors.New("the\nreason")})
	if !strings.HasSuffix(out.String(), "no stack: the\\nreason\n") {
		t.Errorf("the report of a failure is %s", out.String())
	}
}

func hostile() *Profile {
	p := NewProfile(noon, 10*time.Millisecond, true)
	p.Duration = time.Second
	p.Add("www", example())
	p.Add("www", example())
	p.Add("api", Stack{Frames: []Frame{
		{Call: CallFunction, Function: "a;b", Class: "<script>\"&\xff", Static: true, File: "/x", Line: 2},
		{Call: CallMain, File: "/srv/m.php", Line: 1},
	}, Truncated: true})
	p.Add("api", Stack{})
	return p
}

func TestFoldedStacksAreOneLineEach(t *testing.T) {
	var out bytes.Buffer
	p := hostile()
	if err := p.WriteFolded(&out); err != nil {
		t.Fatal(err)
	}
	want := "pool api;[truncated];/srv/m.php;<script>\"&\ufffd::a:b 1\n" +
		"pool www;/srv/a.php;require /srv/b.php;eval /srv/b.php(9) : eval()'d code;Repo->find;sleep 2\n"
	if out.String() != want || p.Samples != 3 || p.Idle != 1 {
		t.Errorf("folded it is %s, %+v, not %s", out.String(), p, want)
	}
}

func TestPprofReadsTheProfile(t *testing.T) {
	var out bytes.Buffer
	if err := hostile().WritePprof(&out); err != nil {
		t.Fatal(err)
	}
	p, err := profile.Parse(&out)
	if err != nil {
		t.Fatal(err)
	}
	if p.SampleType[1].Type != "cpu" || p.DurationNanos != 1e9 || p.TimeNanos != noon.UnixNano() || len(p.Sample) != 2 {
		t.Fatalf("the profile is %v", p)
	}
	s := p.Sample[1]
	if s.Value[0] != 2 || s.Value[1] != 2e7 || s.Label["pool"][0] != "www" || len(s.Location) != 5 {
		t.Errorf("a sample is %+v", s)
	}
	if l := s.Location[1].Line[0]; l.Line != 3 || l.Function.Name != "Repo->find" || l.Function.Filename != "/srv/b.php" {
		t.Errorf("its second call is %+v", l)
	}
}

func TestTheFlameGraphIsXMLWithoutForeignMarkup(t *testing.T) {
	for name, p := range map[string]*Profile{"samples": hostile(), "none": NewProfile(noon, time.Second, false)} {
		var out bytes.Buffer
		if err := p.WriteFlameGraph(&out, "<title>\x00 & \"more\""); err != nil {
			t.Fatal(err)
		}
		text := out.String()
		bars := 0
		for d := xml.NewDecoder(strings.NewReader(text)); ; {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v in %s", name, err, text)
			}
			if e, ok := token.(xml.StartElement); ok {
				switch e.Name.Local {
				case "svg", "style", "text", "title":
				case "rect":
					bars++
				case "g":
				default:
					t.Errorf("%s: there is an element %s", name, e.Name.Local)
				}
			}
		}
		want := map[string]int{"samples": 12, "none": 1}[name] // the ground, "all", two pools, three calls and five
		if bars != want {
			t.Errorf("%s: there are %d bars, not %d: %s", name, bars, want, text)
		}
	}
}
