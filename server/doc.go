// Package server is phpserve's front end: it accepts HTTP and HTTPS, finds what a URL leads to, and has PHP run.
//
// The way of a request, in the order of the code of [Server.ServeHTTP]:
//
//	listener ▶ TLS ▶ net/http ▶ exchange (access log) ▶ request id ▶ proxy trust ▶ site ▶ route ─┬▶ static file
//	                                                                                             └▶ PHP: spool body ▶ Pool.Acquire ▶ relay ▶ Release
//
// Start order: access log, pools, sites, listeners, certificates, serving. Stop order: listeners and idle connections,
// running requests up to process_control_timeout, pools, access log. A second signal skips the waiting.
//
// The package is the only place where manager and fastcgi meet.
package server
