package server

import (
	"strings"
	"testing"
)

// inputScript tells what a request was to PHP.
const inputScript = `<?php echo '[', $_SERVER['REQUEST_METHOD'], ' ', $_SERVER['REQUEST_URI'], ' ', $_SERVER['CONTENT_LENGTH'] ?? '-', ' ',
	file_get_contents('php://input'), ']';`

// Each request is followed on its connection by one that an attacker would like to smuggle in or to see swallowed. want
// are the answers: their status and, of those of the script, the body.
func TestBadInputRequestSmuggling(t *testing.T) {
	t.Parallel()
	const next = "GET /in.php?next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
	const nextSeen = "200 [GET /in.php?next - ]"
	post := func(fields, body string) string {
		return "POST /in.php HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n" + body
	}
	tests := []struct {
		name, first string
		want        []string
	}{
		{
			"pipelined requests are seen once each, in order", post("Content-Length: 3\r\n", "abc") + post("Content-Length: 0\r\n", ""),
			[]string{"200 [POST /in.php 3 abc]", "200 [POST /in.php 0 ]", nextSeen},
		},
		{"GET with a body", "GET /in.php HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", []string{"200 [GET /in.php 3 abc]", nextSeen}},
		{
			"body that looks like a request", post("Content-Length: 38\r\n", "GET /in.php?body HTTP/1.1\r\nHost: a\r\n\r\n"),
			[]string{"200 [POST /in.php 38 GET /in.php?body HTTP/1.1\r\nHost: a\r\n\r\n]", nextSeen},
		},
		{"CL.CL that differ", post("Content-Length: 3\r\nContent-Length: 4\r\n", "abc"), []string{"400"}},
		{"CL.CL that differ in one field", post("Content-Length: 3, 4\r\n", "abc"), []string{"400"}},
		{"CL.CL that agree", post("Content-Length: 3\r\nContent-Length: 3\r\n", "abc"), []string{"200 [POST /in.php 3 abc]", nextSeen}},
		{"CL with a sign", post("Content-Length: +3\r\n", "abc"), []string{"400"}},
		{"CL negative", post("Content-Length: -3\r\n", "abc"), []string{"400"}},
		{"CL hexadecimal", post("Content-Length: 0x3\r\n", "abc"), []string{"400"}},
		{"CL too long", post("Content-Length: 99999999999999999999\r\n", "abc"), []string{"400"}},
		{"CL empty", post("Content-Length: \r\n", "abc"), []string{"400"}},
		// RFC 9112 §6.1: Transfer-Encoding counts, and the connection is closed after the answer.
		{"CL.TE", post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n"), []string{"200 [POST /in.php 3 abc]"}},
		{"TE.CL", post("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", "0\r\n\r\n"), []string{"200 [POST /in.php 0 ]"}},
		{"TE.TE with an unknown one", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", "0\r\n\r\n"), []string{"501"}},
		{"TE twice", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), []string{"501"}},
		{"TE identity", post("Transfer-Encoding: identity\r\nContent-Length: 3\r\n", "abc"), []string{"501"}},
		{"TE list", post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"), []string{"501"}},
		{"TE obfuscated: xchunked", post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), []string{"501"}},
		{"TE obfuscated: quoted", post("Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n"), []string{"501"}},
		{"TE obfuscated: space before the colon", post("Transfer-Encoding : chunked\r\nContent-Length: 3\r\n", "abc"), []string{"400"}},
		{"TE obfuscated: tab before the colon", post("Transfer-Encoding\t: chunked\r\nContent-Length: 3\r\n", "abc"), []string{"400"}},
		{"TE obfuscated: space before the name", "POST /in.php HTTP/1.1\r\n Transfer-Encoding: chunked\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", []string{"400"}},
		{"TE obfuscated: vertical tab", post("Transfer-Encoding: \x0bchunked\r\nContent-Length: 3\r\n", "abc"), []string{"400"}},
		{"TE obfuscated: NUL", post("Transfer-Encoding: chunked\x00\r\nContent-Length: 3\r\n", "abc"), []string{"400"}},
		{"TE with _ is another field", post("Transfer_Encoding: chunked\r\nContent-Length: 3\r\n", "abc"), []string{"200 [POST /in.php 3 abc]", nextSeen}},
		{
			"TE in HTTP/1.0", strings.Replace(post("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", "abc"), "HTTP/1.1", "HTTP/1.0", 1),
			[]string{"200 [POST /in.php 3 abc]"},
		},
		// net/http takes Transfer-Encoding off an HTTP/1.0 request unseen, and the chunks would be the next one.
		{
			"TE in HTTP/1.0 that is to be kept alive", "POST /in.php HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n" +
				"26\r\nGET /in.php?smuggled HTTP/1.1\r\nHost: a\r\n\r\n\r\n0\r\n\r\n",
			[]string{"200 [POST /in.php - ]"},
		},
		{
			"TE in HTTP/1.0 with a length that hides a request", "POST /in.php HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n" +
				"Content-Length: 0\r\n\r\nGET /in.php?smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
			[]string{"200 [POST /in.php 0 ]"},
		},
		{"HTTP/1.0 is never kept alive", "GET /in.php HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", []string{"200 [GET /in.php - ]"}},
		{"HTTP/1.0 is never kept alive: static file", "GET /a.txt HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", []string{"200 static"}},
		{"HTTP/1.0 is never kept alive: error", "GET /none HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", []string{"404"}},
		{"HTTP/1.0 is never kept alive: redirect", "GET /dir HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", []string{"301"}},
		{"chunked", post("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), []string{"200 [POST /in.php 5 abcde]"}},
		{"chunk extension", post("Transfer-Encoding: chunked\r\n", "3;a=b\r\nabc\r\n0;x\r\n\r\n"), []string{"200 [POST /in.php 3 abc]"}},
		{"chunk extension too long", post("Transfer-Encoding: chunked\r\n", "3;"+strings.Repeat("a", 8192)+"\r\nabc\r\n0\r\n\r\n"), []string{"400"}},
		{"CVE-2025-22871 bare LF in a chunk line", post("Transfer-Encoding: chunked\r\n", "3;\nabc\r\n0\r\n\r\n"), []string{"400"}},
		{"bare LF after a chunk", post("Transfer-Encoding: chunked\r\n", "3\r\nabc\n0\r\n\r\n"), []string{"400"}},
		{"chunk size with a sign", post("Transfer-Encoding: chunked\r\n", "+3\r\nabc\r\n0\r\n\r\n"), []string{"400"}},
		{"chunk size with 0x", post("Transfer-Encoding: chunked\r\n", "0x3\r\nabc\r\n0\r\n\r\n"), []string{"400"}},
		{"chunk size over 64 bits", post("Transfer-Encoding: chunked\r\n", "10000000000000003\r\nabc\r\n0\r\n\r\n"), []string{"400"}},
		{"chunk longer than its size", post("Transfer-Encoding: chunked\r\n", "2\r\nabc\r\n0\r\n\r\n"), []string{"400"}},
		{
			"trailers do not become header fields", post("Transfer-Encoding: chunked\r\nTrailer: Proxy\r\n", "3\r\nabc\r\n0\r\nContent-Length: 9\r\nProxy: x\r\n\r\n"),
			[]string{"200 [POST /in.php 3 abc]"},
		},
		{"folded field", "GET /in.php HTTP/1.1\r\nHost: a\r\nX-A: b\r\n Content-Length: 3\r\n\r\n", []string{"200 [GET /in.php - ]", nextSeen}},
		{"space in the target", "GET /in.php?a b HTTP/1.1\r\nHost: a\r\n\r\n", []string{"400"}},
		{"tab in the target", "GET /in.php?a\tb HTTP/1.1\r\nHost: a\r\n\r\n", []string{"400"}},
	}
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{"in.php": inputScript, "a.txt": "static", "dir/b.txt": ""}, nil)
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				var got []string
				for _, a := range answers(t, wire(t, ts, tt.first+next), "GET") {
					if a.StatusCode == 200 {
						got = append(got, "200 "+a.body)
					} else {
						got = append(got, a.Status[:3])
					}
				}
				if strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
					t.Errorf("got %q\nwant %q", got, tt.want)
				}
			})
		}
	})
}
