// Package accept accepts the connections of clients, within the limits that keep descriptors for what serves them, and does on each what
// package net/http cannot: it joins what is written, gives each write its time, and tells of requests that no handler sees.
//
// It never sees a request that a handler has, nor a site: whose place is whose, and what has begun on a connection, is all it knows.
// Connections of web servers that speak FastCGI and of operators take their places here, too.
//
// Read it in this order: descriptors.go (how many there may be), limit.go (who gets a place, and who has to make room), listener.go,
// conn.go (a connection without TLS), watch.go (what passes on it), tls.go (handshakes, and HTTP/2).
package accept
