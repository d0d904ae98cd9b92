package server

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// sampleAccess is a record with a value of its own for every specifier.
func sampleAccess() *fpmAccessRecord {
	start := time.Date(2026, 11, 22, 11, 4, 18, 0, time.UTC)
	return &fpmAccessRecord{
		start: start, end: start.Add(1234567 * time.Microsecond), queue: 98765 * time.Microsecond, method: "GET", uri: "/info.php",
		query: "a=1", script: "/srv/www/info.php", contentLength: 5, status: 200, user: "ann", pool: "www", workerPID: 4711, masterPID: 42,
		peer: "192.0.2.1", userCPU: 500 * time.Millisecond, systemCPU: 250 * time.Millisecond, memory: 5<<20 + 2047,
		param: func(name string) (string, bool) {
			value, ok := map[string]string{"REQUEST_URI": "/as/sent", "EMPTY": "", "LINES": "a\nb\r\x00"}[name]
			return value, ok
		},
		header: func(name string) (string, bool) {
			value, ok := map[string]string{"X-Cache": "hit", "X-Empty": "", "X-Lines": "a\n\x7fb"}[name]
			return value, ok
		},
	}
}

func renderAccess(t *testing.T, format string, r *fpmAccessRecord) string {
	t.Helper()
	f, err := parseAccessFormat(format)
	if err != nil {
		t.Fatalf("%q: %v", format, err)
	}
	return string(f.append(nil, r))
}

func TestAccessSpecifiersTellTheRecord(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ format, want string }{
		{defaultFPMAccessFormat, `192.0.2.1 - ann 22/Nov/2026:11:04:18 +0000 "GET /info.php" 200`},
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
	r := &fpmAccessRecord{
		param:  func(string) (string, bool) { return "", false },
		header: func(string) (string, bool) { return "", false },
	}
	const format = "[%R|%u|%m|%r|%Q|%q|%f|%n|%l|%s|%d|%C|%M|%{A}e|%{B}o]"
	if got, want := renderAccess(t, format, r), "[-||-||||-|-|0|0|0.000|0.00|0|-|-]"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestAccessLineCannotBeForged(t *testing.T) { // CWE-117
	t.Parallel()
	r := sampleAccess()
	for value := range map[*string]string{&r.method: "", &r.uri: "", &r.query: "", &r.script: "", &r.user: "", &r.pool: ""} {
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
	f, err := parseAccessFormat("%q")
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
			line := f.appendLine([]byte("before\n"), &fpmAccessRecord{query: tt.query}, tt.limit)
			if got, ok := strings.CutPrefix(string(line), "before\n"); !ok || got != tt.want {
				t.Errorf("%q, want %q", line, tt.want)
			}
		})
	}
	for limit := 4; limit < 40; limit++ {
		line := f.appendLine(nil, &fpmAccessRecord{query: strings.Repeat("a\u00e4\u20ac\U0001F600", 9)}, limit)
		if len(line) > limit || len(line) < limit-3 || !utf8.Valid(line) {
			t.Errorf("limit %d: %d bytes: %q", limit, len(line), line)
		}
	}
}

func TestAccessFormatAllocatesNothingPerLine(t *testing.T) {
	f, err := parseAccessFormat(`%R - %u %t "%m %r%Q%q" %s %f %{milli}d %{kilo}M %C%% %{REQUEST_URI}e %{X-Cache}o`)
	if err != nil {
		t.Fatal(err)
	}
	r, b := sampleAccess(), make([]byte, 0, 1024)
	r.param = func(string) (string, bool) { return "value", true }
	r.header = r.param
	if n := testing.AllocsPerRun(100, func() { b = f.appendLine(b[:0], r, 1024) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzAccessFormat(f *testing.F) {
	exact, volatile := []string{defaultFPMAccessFormat, "%{a}{b}d", "%{%Y}t", "%", "%{"}, []string{"%{queue}d", "%{%-5", "%C%%"}
	for _, seed := range append(exact, volatile...) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, format string) {
		parsed, err := parseAccessFormat(format)
		if err != nil {
			return
		}
		if line := parsed.appendLine(nil, sampleAccess(), 100); len(line) > 100 || len(line) > 0 && line[len(line)-1] != '\n' {
			t.Errorf("%q", line)
		}
	})
}
