// Package fastcgi is the client side of FastCGI 1.0 as a PHP worker speaks it,
// together with what a CGI gateway needs around it: the CGI/1.1 environment
// (RFC 3875 §4.1), the response head (RFC 3875 §6) and the split of a URL path
// into script and PATH_INFO.
//
// It knows nothing of HTTP servers or processes. One [Conn] carries one request
// at a time:
//
//	Send ──▶ BEGIN_REQUEST, PARAMS…, PARAMS(0), STDIN…, STDIN(0)
//	Next ◀── STDOUT, STDERR in the worker's order … END_REQUEST
//	Reusable ── true: the next Send may follow on the same connection
//
// A small request leaves in one write; a large body is written by a goroutine
// while Next reads, so a worker that answers before it has read its input never
// deadlocks with us.
//
// The protocol text: https://fastcgi-archives.github.io/FastCGI_Specification.html
// ("FastCGI 1.0" in comments). The worker's end of it is php-src main/fastcgi.c.
package fastcgi
