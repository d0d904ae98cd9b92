package server

import (
	"bufio"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// FuzzRequestTarget: a target and a host that are let through can be put into a link, a header and a log as they are, and mean the
// same to whoever parses them there.
func FuzzRequestTarget(f *testing.F) {
	for _, s := range [][2]string{
		{"/", "a.test"},
		{"*", "a"},
		{"http://b.test:8443/x?y", "a"},
		{"https://[::1]:81/", "a"},
		{"http:../../etc", "a"},
		{"//b/x", "a"},
		{"http://a@b/", "a"},
		{"/%2e%2e/", "bücher.example"},
		{"ftp://a/", "a"},
		{"http:///x", "a"},
		{"/", "a..b"},
		{"/", "a'b"},
		{"/", "[fe80::1%25eth0]"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, target, host string) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n")))
		if err != nil || checkTarget(r) != nil {
			return
		}
		if r.Host != "" {
			if strings.ContainsAny(r.Host, "\"'<>\\/@?#%,; \t\r\n\x00${}()*") {
				t.Fatalf("%q passes as a host", r.Host)
			}
			if u, err := url.Parse("http://" + r.Host + "/x"); err != nil || u.Host != r.Host || u.Hostname() == "" || u.User != nil || u.Path != "/x" {
				t.Fatalf("a link to %q is %+v, %v", r.Host, u, err)
			}
		}
		if u := r.URL; u.Opaque != "" || u.Scheme != "" && (u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
			t.Fatalf("%q passes: %+v", r.RequestURI, u)
		}
	})
}
