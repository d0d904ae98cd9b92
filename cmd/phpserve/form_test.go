package main

import (
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/phpserve/phpserve/internal/patient"
)

// visitor is a browser as far as these tests need one: it keeps cookies, follows redirects and fills in forms.
type visitor struct {
	t      *testing.T
	client *http.Client
	base   string
}

func newVisitor(t *testing.T, base string) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{t: t, client: &http.Client{Jar: jar, Timeout: time.Until(patient.LastMoment())}, base: base}
}

// do sends a request and wants a status.
func (v *visitor) do(status int, method, path string, body io.Reader, header ...string) *reply {
	v.t.Helper()
	r, err := fetch(v.client, method, v.base+path, body, header...)
	if err != nil {
		v.t.Fatal(err)
	}
	if r.StatusCode != status {
		v.t.Fatalf("%s %s: status %d, not %d\n%s", method, path, r.StatusCode, status, r.body)
	}
	return r
}

func (v *visitor) get(status int, path string) *reply {
	v.t.Helper()
	return v.do(status, http.MethodGet, path, nil)
}

func (v *visitor) post(status int, path string, fields url.Values) *reply {
	v.t.Helper()
	return v.do(status, http.MethodPost, path, strings.NewReader(fields.Encode()), "Content-Type: application/x-www-form-urlencoded")
}

// mustContain fails unless the page has every text.
func (r *reply) mustContain(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(r.body, text) {
			t.Fatalf("%s: no %q in:\n%s", r.Request.URL, text, r.body)
		}
	}
}

var (
	formTag  = regexp.MustCompile(`(?is)<form\b.*?</form>`)
	inputTag = regexp.MustCompile(`(?is)<input\b[^>]*>`)
	areaTag  = regexp.MustCompile(`(?is)<textarea\b[^>]*\bname="([^"]*)"[^>]*>\n?(.*?)</textarea>`)
	attr     = regexp.MustCompile(`(?is)\b(type|name|value)="([^"]*)"`)
)

// form reads the fields of the page's form that contains a text.
func (r *reply) form(t *testing.T, marker string) url.Values {
	t.Helper()
	for _, form := range formTag.FindAllString(r.body, -1) {
		if !strings.Contains(form, marker) {
			continue
		}
		fields := url.Values{}
		for _, input := range inputTag.FindAllString(form, -1) {
			a := map[string]string{}
			for _, m := range attr.FindAllStringSubmatch(input, -1) {
				a[m[1]] = html.UnescapeString(m[2])
			}
			switch a["type"] {
			case "submit", "button", "file", "checkbox", "radio":
			default:
				if a["name"] != "" {
					fields.Set(a["name"], a["value"])
				}
			}
		}
		for _, m := range areaTag.FindAllStringSubmatch(form, -1) {
			fields.Set(m[1], html.UnescapeString(m[2]))
		}
		return fields
	}
	t.Fatalf("%s: no form with %q in:\n%s", r.Request.URL, marker, r.body)
	return nil
}
