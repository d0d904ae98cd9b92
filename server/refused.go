package server

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/phpserve/phpserve/server/accesslog"
)

// logRefused writes the access line of a request that net/http refused before it had one, with what can be read of it.
func (s *Server) logRefused(peer net.Addr, status int, head []byte) {
	x := &accesslog.Entry{Start: time.Now(), Status: status}
	if ap, err := netip.ParseAddrPort(peer.String()); err == nil {
		x.Client = ap.Addr().Unmap().WithZone("")
	}
	s.access.Write(x, readHead(string(head)))
}

// readHead makes a request of the beginning of a head that may be anything.
func readHead(head string) *http.Request {
	r := &http.Request{Method: "-", RequestURI: "-", Proto: "-", Header: http.Header{}}
	line, rest, _ := strings.Cut(strings.TrimLeft(head, "\r\n"), "\n")
	method, target, _ := strings.Cut(strings.TrimRight(line, "\r"), " ")
	if i := strings.LastIndex(target, " HTTP/"); i >= 0 {
		r.Proto = target[i+1:]
		target = target[:i]
	}
	if method != "" {
		r.Method = method
	}
	if target != "" {
		r.RequestURI = target
	}
	for line := range strings.SplitSeq(rest, "\n") {
		name, value, found := strings.Cut(line, ":")
		value = strings.Trim(value, " \t\r")
		switch {
		case !found:
		case strings.EqualFold(name, "Host"):
			r.Host = value
		case strings.EqualFold(name, "User-Agent"), strings.EqualFold(name, "Referer"):
			r.Header.Set(name, value)
		}
	}
	return r
}
