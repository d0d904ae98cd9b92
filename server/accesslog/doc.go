// Package accesslog writes a line for each request: in the formats of web servers for sites, and in the access.format of php-fpm for
// FastCGI addresses.
//
// It never sees a connection and decides nothing: it gets an [Entry] or an [FPMRecord] when the request is over.
//
// Read it in this order: log.go (the log of sites), format.go (access.format, compiled once), strftime.go (its times), fpmlog.go (the
// log of a FastCGI address).
package accesslog
