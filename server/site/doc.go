// Package site is what is served under some host names: which site a host name means, and what a URL leads to in it.
//
// It never sees a request or a connection, and it does not know what runs scripts: a [Router] gets a URL path and says that it is a
// file, a folder's missing slash, or a script.
//
// Read it in this order: config.go (what can be configured, with its checks), site.go (a site and the look-up by host name), route.go
// (the order in which targets are looked for), missing.go (URLs that look like files and are none).
package site
