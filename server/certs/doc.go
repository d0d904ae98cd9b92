// Package certs has the certificates of the https listeners: those of the operator's files, which are read again when they change, and
// those that it obtains and renews by ACME. It chooses one for each handshake, and sends plain requests on to HTTPS for whose host there
// is one.
//
// It opens no address and accepts no connection: its handler and its tls.Config are given to those that do. Of sites it knows the host
// names and document roots ([Served]), and of requests what the redirect needs.
//
// Read it in this order: config.go (what is asked for, and what cannot work), store.go (obtaining, renewing and choosing), file.go,
// redirect.go (also the answers to HTTP-01 challenges), check.go (what browsers would warn of), log.go (what certmagic reports).
package certs
