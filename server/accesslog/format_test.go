package accesslog

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// sampleAccess is a record with a value of its own for every specifier.
func sampleAccess() *FPMRecord {
	start := time.Date(2026, 11, 22, 11, 4, 18, 0, time.UTC)
	return &FPMRecord{
		Start: start, End: start.Add(1234567 * time.Microsecond), Queue: 98765 * time.Microsecond, Method: "GET", URI: "/info.php",
		Query: "a=1", Script: "/srv/www/info.php", ContentLength: 5, Status: 200, User: "ann", Pool: "www", WorkerPID: 4711, MasterPID: 42,
		Peer: "192.0.2.1", UserCPU: 500 * time.Millisecond, SystemCPU: 250 * time.Millisecond, Memory: 5<<20 + 2047,
		Param: func(name string) (string, bool) {
			value, ok := map[string]string{"REQUEST_URI": "/as/sent", "EMPTY": "", "LINES": "a\nb\r\x00"}[name]
			return value, ok
		},
		Header: func(name string) (string, bool) {
			value, ok := map[string]string{"X-Cache": "hit", "X-Empty": "", "X-Lines": "a\n\x7fb"}[name]
			return value, ok
		},
	}
}

func renderAccess(t *testing.T, format string, r *FPMRecord) string {
	t.Helper()
	f, err := ParseFormat(format)
	if err != nil {
		t.Fatalf("%q: %v", format, err)
	}
	return string(f.append(nil, r))
}

func TestAccessSpecifiersTellTheRecord(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ format, want string }{
		{defaultFPMFormat, `192.0.2.1 - ann 22/Nov/2026:11:04:18 +0000 "GET /info.php" 200`},
		{"%r%Q%q", "/info.php?a=1"},
		{"%f %l %n %p %P", "/srv/www/info.php 5 www 4711 42"},
		{"%d|%{seconds}d|%{milli}d|%{micro}d", "1.235|1.235|1234.567|1234567"},
		{"%{queue}d|%{queue_seconds}d|%{queue_milli}d|%{queue_micro}d", "0.099|0.099|98.765|98765"},
		{"%{QUEUE_milliseconds}d|%{queue_mili}d|%{queue_microseconds}d", "98.765|98.765|98765"},
		{"%C %{user}C %{system}C", "60.75 40.50 20.25"},
		{"%M %{kilo}M %{mega}M", "5244927 5121 5"},
		{"%{REQUEST_URI}e|%{EMPTY}e|%{MISSING}e", "/as/sent||-"},
		{"%{X-Cache}o|%{X-Empty}o|%{X-None}o", "hit|-|-"},
		{"%{%H:%M:%S}t %{%H:%M:%S}T", "11:04:18 11:04:19"},
	} {
		if got := renderAccess(t, tt.format, sampleAccess()); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.format, got, tt.want)
		}
	}
}

func TestAccessTellsNothingOfWhatIsNotKnown(t *testing.T) {
	t.Parallel()
	r := &FPMRecord{
		Param:  func(string) (string, bool) { return "", false },
		Header: func(string) (string, bool) { return "", false },
	}
	const format = "[%R|%u|%m|%r|%Q|%q|%f|%n|%l|%s|%d|%C|%M|%{A}e|%{B}o]"
	if got, want := renderAccess(t, format, r), "[-||-||||-|-|0|0|0.000|0.00|0|-|-]"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestAccessLineCannotBeForged(t *testing.T) { // CWE-117
	t.Parallel()
	r := sampleAccess()
	for value := range map[*string]string{&r.Method: "", &r.URI: "", &r.Query: "", &r.Script: "", &r.User: "", &r.Pool: ""} {
		*value = "\n\r\x00\x1b[2J\x7f\t\"\\\u00e4\xff"
	}
	got := renderAccess(t, "%m %r %q %f %u %n %{LINES}e %{X-Lines}o", r)
	visible := `\x0A\x0D\x00\x1B[2J\x7F\x09"\` + "\u00e4" + `\xFF`
	if want := strings.Repeat(visible+" ", 6) + `a\x0Ab\x0D\x00 a\x0A\x7Fb`; got != want {
		t.Errorf("%q\nwant %q", got, want)
	}
}

func TestAccessLineIsCutAtTheLimit(t *testing.T) {
	t.Parallel()
	f, err := ParseFormat("%q")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, query, want string
		limit             int
	}{
		{"fits to the byte", "123456789", "123456789\n", 10},
		{"one byte too long", "1234567890", "123456...\n", 10},
		{"not in a character of two bytes", "12345\u00e47890", "12345...\n", 10},
		{"not in a character of four bytes", "123\U0001F600890", "123...\n", 10},
		{"bytes that are no UTF-8 are no reason to cut more than a character", strings.Repeat("\x80", 20), `\x80\x...` + "\n", 10},
		{"nothing but the mark", "12345", "...\n", 4},
		{"no limit is too small", "12345", "...\n", 1},
		{"nothing to say, no line", "", "", 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			line := f.appendLine([]byte("before\n"), &FPMRecord{Query: tt.query}, tt.limit)
			if got, ok := strings.CutPrefix(string(line), "before\n"); !ok || got != tt.want {
				t.Errorf("%q, want %q", line, tt.want)
			}
		})
	}
	for limit := 4; limit < 40; limit++ {
		line := f.appendLine(nil, &FPMRecord{Query: strings.Repeat("a\u00e4\u20ac\U0001F600", 9)}, limit)
		if len(line) > limit || len(line) < limit-3 || !utf8.Valid(line) {
			t.Errorf("limit %d: %d bytes: %q", limit, len(line), line)
		}
	}
}

func TestAccessFormatAllocatesNothingPerLine(t *testing.T) {
	f, err := ParseFormat(`%R - %u %t "%m %r%Q%q" %s %f %{milli}d %{kilo}M %C%% %{REQUEST_URI}e %{X-Cache}o`)
	if err != nil {
		t.Fatal(err)
	}
	r, b := sampleAccess(), make([]byte, 0, 1024)
	r.Param = func(string) (string, bool) { return "value", true }
	r.Header = r.Param
	if n := testing.AllocsPerRun(100, func() { b = f.appendLine(b[:0], r, 1024) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzAccessFormat(f *testing.F) {
	exact, volatile := []string{defaultFPMFormat, "%{a}{b}d", "%{%Y}t", "%", "%{"}, []string{"%{queue}d", "%{%-5", "%C%%"}
	for _, seed := range append(exact, volatile...) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, format string) {
		parsed, err := ParseFormat(format)
		if err != nil {
			return
		}
		if line := parsed.appendLine(nil, sampleAccess(), 100); len(line) > 100 || len(line) > 0 && line[len(line)-1] != '\n' {
			t.Errorf("%q", line)
		}
	})
}
