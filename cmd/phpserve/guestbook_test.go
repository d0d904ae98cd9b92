package main

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// copyGuestbook copies the example, with a data folder that the workers' user can write.
func copyGuestbook(t *testing.T) (public, data string) {
	t.Helper()
	dir := filepath.Join(openFolder(t, "phpserve-book-"), "guestbook")
	source := os.DirFS(filepath.Join(repository(t), "examples", "guestbook"))
	if err := os.CopyFS(dir, source); err != nil {
		t.Fatal(err)
	}
	data = filepath.Join(dir, "data")
	if err := os.RemoveAll(data); err != nil { // what was signed when somebody tried it
		t.Fatal(err)
	}
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(data, 0o777); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "public"), data
}

// sign fills in the guestbook's form; picture is the optional image.
func sign(t *testing.T, v *visitor, status int, fields url.Values, picture []byte) *reply {
	t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for name := range fields {
		if err := form.WriteField(name, fields.Get(name)); err != nil {
			t.Fatal(err)
		}
	}
	name := "" // what a browser sends when no file was chosen
	if picture != nil {
		name = "picture.png"
	}
	part, err := form.CreateFormFile("image", name)
	if err != nil {
		t.Fatal(err)
	}
	part.Write(picture)
	form.Close()
	return v.do(status, http.MethodPost, "/", &body, "Content-Type: "+form.FormDataContentType())
}

// writeProgram makes a shell script that can be run at once: a process that another test starts meanwhile would inherit the
// open file, and the kernel runs no file that somebody may write (ETXTBSY).
func writeProgram(t *testing.T, path, text string) {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// TestGuestbook uses the example with both of its stores: SQLite, and flat files where PHP has no pdo_sqlite.
func TestGuestbook(t *testing.T) {
	t.Parallel()
	bare := filepath.Join(openFolder(t, "phpserve-php-"), "php-cgi")
	writeProgram(t, bare, "#!/bin/sh\nexec php-cgi -n \"$@\"\n")
	for _, store := range []struct{ name, php, file string }{
		{"SQLite", "php-cgi", "guestbook.sqlite"},
		{"flat file", bare, "guestbook.jsonl"},
	} {
		t.Run(store.name, func(t *testing.T) {
			t.Parallel()
			public, data := copyGuestbook(t)
			s := serve(t, public, public, "--php", store.php)
			useGuestbook(t, newVisitor(t, s.url), newVisitor(t, s.url))
			if _, err := os.Stat(filepath.Join(data, store.file)); err != nil {
				t.Errorf("the entries are not in %s (apt-get install php-sqlite3): %v", store.file, err)
			}
			for line := range strings.Lines(s.stderr.String()) {
				if store.php != bare || !strings.Contains(line, "opcache is not loaded") { // which the start says of such a PHP
					t.Errorf("logged: %s", line)
				}
			}
		})
	}
}

// useGuestbook signs, is refused, uploads and pages; other has no session yet.
func useGuestbook(t *testing.T, v, other *visitor) {
	t.Helper()
	var picture bytes.Buffer
	dots := image.NewRGBA(image.Rect(0, 0, 40, 30))
	dots.Set(3, 3, color.White)
	if err := png.Encode(&picture, dots); err != nil {
		t.Fatal(err)
	}
	front := v.get(200, "/")
	front.mustContain(t, "Sign the guestbook", "The book is still blank")
	form := front.form(t, `name="message"`)
	form.Set("name", "Ada")
	form.Set("message", "Grüße & <b>thanks</b>")
	sign(t, v, 200, form, picture.Bytes()).mustContain(t, "1 entry", "Ada", "Grüße &amp; &lt;b&gt;thanks&lt;/b&gt;", "/image/1")
	if r := v.get(200, "/image/1"); r.body != picture.String() || r.Header.Get("Content-Type") != "image/png" {
		t.Errorf("image: %d bytes of %s, not the %d uploaded", len(r.body), r.Header.Get("Content-Type"), picture.Len())
	}
	v.get(200, "/entry/1").mustContain(t, "Ada")
	v.get(200, "/api/entries").mustContain(t, `"name": "Ada"`)
	v.get(200, "/about").mustContain(t, "cgi-fcgi")

	// The token of another's session, no token, no name, and what is no image
	sign(t, other, 403, form, nil)
	sign(t, v, 403, url.Values{"name": {"Eve"}, "message": {"hi"}}, nil)
	form = v.get(200, "/").form(t, `name="message"`)
	form.Set("name", "")
	form.Set("message", "hi")
	sign(t, v, 422, form, nil).mustContain(t, `aria-invalid="true"`)
	form.Set("name", "Ada")
	sign(t, v, 422, form, []byte("<?php echo 'no image';")).mustContain(t, `id="image-error"`)

	for n := 2; n <= 12; n++ {
		form.Set("message", fmt.Sprintf("message %d.", n))
		sign(t, v, 200, form, nil).mustContain(t, fmt.Sprintf("message %d.", n))
	}
	v.get(200, "/").mustContain(t, "12 entries", `rel="next"`)
	v.get(200, "/page/2").mustContain(t, `rel="prev"`, "Ada")
	v.get(404, "/page/99")
	v.get(404, "/no/such/page")
	v.do(405, http.MethodDelete, "/about", nil)
	if css := v.get(200, "/style.css"); !strings.HasPrefix(css.Header.Get("Content-Type"), "text/css") {
		t.Errorf("style sheet: %q", css.Header.Get("Content-Type"))
	}
	for _, path := range []string{"/../data/guestbook.sqlite", "/..%2fdata/guestbook.jsonl", "/data/guestbook.sqlite", "/../src/App.php"} {
		r, err := fetch(plainClient(), http.MethodGet, v.base+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if r.StatusCode != 404 && r.StatusCode != 400 {
			t.Errorf("GET %s: %s", path, r.Status)
		}
	}
}

// TestGuestbookInABrowser shows the example in Chromium: with its style, and without asking any other host for anything.
func TestGuestbookInABrowser(t *testing.T) {
	t.Parallel()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("apt-get install chromium fonts-dejavu-core: %v", err)
	}
	public, _ := copyGuestbook(t)
	s := serve(t, public, public)

	var asked []string
	var mu sync.Mutex
	// Whatever is meant for another host comes here and no further. Chromium itself, not the page, asks its maker's hosts.
	maker := regexp.MustCompile(`(^|\.)(google\.com|googleapis\.com|gvt1\.com)(:\d+)?$`)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if !maker.MatchString(r.Host) {
			asked = append(asked, r.Method+" "+r.Host)
		}
		w.WriteHeader(http.StatusForbidden)
	}))
	defer elsewhere.Close()
	dir := t.TempDir()
	shot := filepath.Join(dir, "shot.png")
	cmd := exec.CommandContext(t.Context(), chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
		"--disable-default-apps", "--disable-domain-reliability", "--disable-features=OptimizationHints,MediaRouter",
		"--user-data-dir="+dir, "--proxy-server="+elsewhere.URL, "--proxy-bypass-list=127.0.0.1",
		"--window-size=800,600", "--screenshot="+shot, "--dump-dom", "--virtual-time-budget=2000", s.url+"/")
	cmd.Env = cleanEnviron("HOME=" + dir)
	var problems bytes.Buffer
	cmd.Stderr = &problems
	dom, err := cmd.Output()
	if err != nil {
		t.Fatalf("chromium: %v\n%s", err, problems.String())
	}
	for _, want := range []string{"Sign the guestbook", `<link rel="stylesheet" href="/style.css">`, `name="token"`} {
		if !strings.Contains(string(dom), want) {
			t.Errorf("no %q in the page:\n%s", want, dom)
		}
	}
	s.waitForLog(t, "GET /style.css HTTP/1.1\" 200")
	s.waitForLog(t, "GET /favicon.svg HTTP/1.1\" 200")
	if other := regexp.MustCompile(`(?:src|href|action)="(?:https?:)?//[^"]*"`).FindAllString(string(dom), -1); other != nil {
		t.Errorf("the page leads elsewhere: %q", other)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(asked) > 0 {
		t.Errorf("the browser asked others: %q", asked)
	}

	file, err := os.Open(shot)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	picture, err := png.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	// Without the style sheet a page is black on white but for its links: with it, most of it has another background.
	white, all := 0, 0
	for y := picture.Bounds().Min.Y; y < picture.Bounds().Max.Y; y++ {
		for x := picture.Bounds().Min.X; x < picture.Bounds().Max.X; x++ {
			if r, g, b, _ := picture.At(x, y).RGBA(); r == 0xffff && g == 0xffff && b == 0xffff {
				white++
			}
			all++
		}
	}
	if all == 0 || white*10 > all*9 {
		t.Errorf("%d of %d points are white: the page has no style", white, all)
	}
}
