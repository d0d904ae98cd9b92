// Package boot speaks FastCGI to workers for phpserve itself: it greets new ones, launches the zygote's script, and has idle ones run a
// script of phpserve's own.
//
// It never sees a request of a client. Package manager knows nothing of FastCGI and calls [Dialer].
package boot
