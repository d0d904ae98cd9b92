package web

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// goldenPages are the pages kept in testdata, by file name without extension.
var goldenPages = map[string]ErrorPage{
	"404-plain": {Status: 404, RequestID: "01JD2Q8Z6T7V4W9X"},
	"413-plain": {Status: 413, RequestID: "01JD2Q8Z6T7V4W9X"},
	"503-plain": {Status: 503},
	"404-detail": {Status: 404, RequestID: "01JD2Q8Z6T7V4W9X", Detail: &ErrorDetail{
		Method: "GET", URL: "/blog/hello?draft=1",
		Summary: "No file, script or front controller answers this URL.",
		Hint:    "If index.php is to answer every URL, create it in the document root or name one with --front-controller.",
		Steps: []Step{
			{Path: "/srv/site/public/blog/hello", Result: "not found"},
			{Path: "/srv/site/public/blog", Result: "a directory without index.php", OK: false},
			{Path: "/srv/site/public/index.php", Result: "not found"},
		},
		DocumentRoot: "/srv/site/public",
	}},
	"413-detail": {Status: 413, RequestID: "01JD2Q8Z6T7V4W9X", Detail: &ErrorDetail{
		Method: "POST", URL: "/",
		Summary:      "The request body is larger than 8 MiB, the limit of this site.",
		Hint:         "Raise max_body_size, and PHP's post_max_size and upload_max_filesize with it.",
		DocumentRoot: "/srv/site/public", FrontController: "/srv/site/public/index.php",
	}},
	"502-detail": {Status: 502, RequestID: "01JD2Q8Z6T7V4W9X", Detail: &ErrorDetail{
		Method: "POST", URL: "/checkout",
		Summary: "The PHP worker ended before it answered: killed by signal 11 (segmentation fault).",
		Hint:    "Look at the last lines PHP wrote. phpserve has already started another worker.",
		Steps: []Step{
			{Path: "/srv/site/public/checkout", Result: "not found"},
			{Path: "/srv/site/public/index.php", Result: "front controller", OK: true},
		},
		Script: "/srv/site/public/index.php",
		Pool:   "www", PID: 4711,
		Stderr: "PHP Warning:  Undefined variable $cart in /srv/site/src/Checkout.php on line 42\n" +
			"PHP Fatal error:  Uncaught TypeError: Cart::total(): Argument #1 ($items) must be of type array, null given\n" +
			"Stack trace:\n#0 /srv/site/src/Checkout.php(42): Cart->total(NULL)\n#1 /srv/site/public/index.php(9): Checkout->run()\n#2 {main}\n\tthrown in /srv/site/src/Cart.php on line 17\n",
		DocumentRoot: "/srv/site/public", FrontController: "/srv/site/public/index.php",
	}},
	"503-detail": {Status: 503, RequestID: "01JD2Q8Z6T7V4W9X", Detail: &ErrorDetail{
		Method: "GET", URL: "/report",
		Summary: "All 4 workers of the pool www are busy, and its queue is full.",
		Hint:    "Find out what the workers are doing with phpserve status, or give the pool more of them with --workers.",
		Steps: []Step{
			{Path: "/srv/site/public/report", Result: "not found"},
			{Path: "/srv/site/public/index.php", Result: "front controller", OK: true},
		},
		Pool:         "www",
		DocumentRoot: "/srv/site/public", FrontController: "/srv/site/public/index.php",
	}},
}

func render(t *testing.T, p ErrorPage) string {
	t.Helper()
	var b bytes.Buffer
	if err := p.Render(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestErrorPagesMatchTheirGoldenFiles(t *testing.T) {
	for name, page := range goldenPages {
		for ext, got := range map[string]string{".html": render(t, page), ".txt": page.Text()} {
			t.Run(name+ext, func(t *testing.T) {
				file := filepath.Join("testdata", name+ext)
				if *update {
					if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(file)
				if err != nil {
					t.Fatalf("%v (go test -update writes it)", err)
				}
				if got != string(want) {
					t.Errorf("page differs from %s (go test -update accepts it)\ngot:\n%s", file, got)
				}
			})
		}
	}
}

func TestPlainPageIsBelow1KiBAndNamesNoServer(t *testing.T) {
	for status := 400; status < 600; status++ {
		page := ErrorPage{Status: status, RequestID: strings.Repeat(`"`, 4096)}
		html, text := render(t, page), page.Text()
		if len(html) >= 1024 || len(text) >= 1024 {
			t.Errorf("status %d: HTML has %d bytes, text %d; want less than 1024", status, len(html), len(text))
		}
		for _, word := range []string{"phpserve", "PHP", "Go/"} {
			if strings.Contains(html, word) || strings.Contains(text, word) {
				t.Errorf("status %d: page tells %q", status, word)
			}
		}
	}
}

func TestDetailPageWithoutStderrIsBelow8KiB(t *testing.T) {
	if n := len(render(t, goldenPages["404-detail"])); n >= 8<<10 {
		t.Errorf("page has %d bytes, want less than 8 KiB", n)
	}
}

// fill sets every string of v, and of what it holds, to s. It goes over the fields
// by reflection so that one added later cannot be forgotten.
func fill(v reflect.Value, s string) int {
	switch v.Kind() {
	case reflect.String:
		v.SetString(s)
		return 1
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int:
		v.SetInt(500)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return fill(v.Elem(), s)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		return fill(v.Index(0), s)
	case reflect.Struct:
		n := 0
		for _, field := range v.Fields() {
			n += fill(field, s)
		}
		return n
	}
	return 0
}

func TestMarkupInEveryFieldIsEscaped(t *testing.T) {
	attacks := []string{
		`<script>alert(1)</script>`,
		`"><img src=x onerror=alert(1)>`,
		`' onmouseover='alert(1)`,
		`</title></pre></style><b id=evil>`,
		`{{.Status}}<evil>`,
	}
	tag := regexp.MustCompile(`(?i)<(script|img|evil|b id)|[^&]' onmouseover`)
	for _, attack := range attacks {
		t.Run(attack, func(t *testing.T) {
			var page ErrorPage
			fields := fill(reflect.ValueOf(&page).Elem(), attack)
			html := render(t, page)
			if got := tag.FindString(html); got != "" {
				t.Errorf("page holds live markup %q", got)
			}
			want := escaped(attack)
			// URL and Method also stand in the title.
			if got := strings.Count(html, want); got < fields {
				t.Errorf("%d of %d fields show the escaped text %q", got, fields, want)
			}
		})
	}
}

// escaped returns attack as html/template writes it in text.
func escaped(attack string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;").Replace(attack)
}

func TestControlCharactersAreShownAndNotObeyed(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"terminal escape", "a\x1b[2Jb", `a\x1b[2Jb`},
		{"carriage return", "a\rb", `a\rb`},
		{"NUL", "a\x00b", `a\x00b`},
		{"C1 control", "a\u009bb", `a\u009bb`},
		{"broken UTF-8", "a\xffb", `a\xffb`},
		{"bidirectional override", "a\u202eb", `a\u202eb`},
		{"printable text of any script", "naïve 日本 é", "naïve 日本 é"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var page ErrorPage
			fill(reflect.ValueOf(&page).Elem(), tc.in)
			for form, got := range map[string]string{"HTML": render(t, page), "text": page.Text()} {
				if !strings.Contains(got, tc.want) {
					t.Errorf("%s form does not show %q", form, tc.want)
				}
				if tc.in != tc.want && strings.Contains(got, tc.in) {
					t.Errorf("%s form holds the raw %q", form, tc.in)
				}
			}
		})
	}
}

func TestOnlyStderrMayHaveSeveralLines(t *testing.T) {
	var page ErrorPage
	fill(reflect.ValueOf(&page).Elem(), "first\nRequest id: forged")
	for line := range strings.Lines(page.Text()) {
		if strings.HasPrefix(line, "Request id: forged") {
			t.Errorf("a field forged the line %q", line)
		}
	}
	page = ErrorPage{Status: 502, Detail: &ErrorDetail{Stderr: "one\r\n\ttwo\n"}}
	if want := "  | one\n  | \ttwo\n"; !strings.Contains(page.Text(), want) {
		t.Errorf("text form lacks %q:\n%s", want, page.Text())
	}
}

func TestPageNeedsNothingThatItsPolicyForbids(t *testing.T) {
	forbidden := regexp.MustCompile(`(?i)<(script|link|img|iframe|form|base)\b|\bon[a-z]+=|url\(|@import|https?:`)
	for name, page := range goldenPages {
		if got := forbidden.FindString(render(t, page)); got != "" {
			t.Errorf("%s: %q is blocked under %q", name, got, ContentSecurityPolicy)
		}
	}
}

func TestUnknownStatusStillSaysSomething(t *testing.T) {
	for _, tc := range []struct {
		status int
		want   string
	}{
		{499, "499 Error\nThis request cannot be answered.\n"},
		{599, "599 Error\nThe site made a mistake. Please try again later.\n"},
	} {
		if got := (ErrorPage{Status: tc.status}).Text(); got != tc.want {
			t.Errorf("Text() = %q, want %q", got, tc.want)
		}
	}
}

func TestWorkerIsToldOnlyIfOneRan(t *testing.T) {
	for _, tc := range []struct {
		detail ErrorDetail
		want   string
	}{
		{ErrorDetail{}, ""},
		{ErrorDetail{Pool: "www"}, ""},
		{ErrorDetail{PID: 7}, "process 7"},
		{ErrorDetail{Pool: "www", PID: 7}, "process 7 of pool www"},
	} {
		if got := tc.detail.Worker(); got != tc.want {
			t.Errorf("Worker() = %q, want %q", got, tc.want)
		}
	}
}

// failingWriter is a client that has gone.
type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

func TestRenderReturnsTheWritersError(t *testing.T) {
	gone := errors.New("gone")
	if err := (ErrorPage{Status: 404}).Render(failingWriter{gone}); !errors.Is(err, gone) {
		t.Errorf("Render() = %v, want %v", err, gone)
	}
}

func TestRenderLeavesItsDetailAlone(t *testing.T) {
	page := ErrorPage{Status: 500, Detail: &ErrorDetail{URL: "/\x00", Steps: []Step{{Path: "/\x01"}}}}
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() { _ = page.Text(); _ = page.Render(&bytes.Buffer{}) })
	}
	wait.Wait()
	if page.Detail.URL != "/\x00" || page.Detail.Steps[0].Path != "/\x01" {
		t.Errorf("Render changed its input to %+v", page.Detail)
	}
}
