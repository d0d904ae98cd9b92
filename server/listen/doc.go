// Package listen opens addresses: those that serve HTTP, and those of pools for web servers that speak FastCGI, with the files, owners and
// access lists of unix sockets. Sockets go on from one process to the next.
//
// It never accepts a connection. What goes wrong is an [Error] that says what to do.
//
// Read it in this order: listen.go, fastcgi.go (what php-fpm's listen directives mean), socketfile.go and socketacl_linux.go (whose a unix
// socket is), handover.go (what another process gets).
package listen
