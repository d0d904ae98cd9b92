package server

import (
	"maps"
	"net/http"
	"strconv"

	"github.com/phpserve/phpserve/server/accept"
)

// deliver sends a response that is complete: the length is known.
func (y *relay) deliver() error {
	p := y.raw[y.bodyAt:]
	if n := y.lengthOf(p); n < int64(len(p)) {
		p = p[:n]
		y.tooMuch()
	}
	y.tellDenied(p)
	status := y.writeHead(int64(len(p)))
	if y.bodyAllowed(status) {
		y.keepOnly(cap(y.raw))
		large := len(y.raw) > accept.HTTPBuffer
		if large {
			y.x.conn.Hold()
		}
		_, err := y.x.Write(p)
		if large && err == nil {
			err = y.x.conn.Release()
		}
		if err != nil {
			y.x.err = errClientGone
		}
	}
	return nil
}

// lengthOf is how much of a complete body goes to the client.
func (y *relay) lengthOf(body []byte) int64 {
	length := int64(len(body))
	if n := y.announced(); n >= 0 {
		return min(n, length)
	}
	return length
}

// writeHead sends status and header fields; length is the body's, or -1 if it is not known yet.
func (y *relay) writeHead(length int64) int {
	h := y.x.Header()
	if y.r.ProtoMajor > 1 || y.head.Names == nil {
		maps.Copy(h, y.head.Header) // HTTP/2 has no capitals
	} else {
		y.copySpelled(h)
	}
	status := y.head.Status
	switch {
	case status == http.StatusNoContent:
		h.Del("Content-Length")
	case status == http.StatusNotModified || y.r.Method == http.MethodHead:
		// The length is that of a GET, which only the script can know.
	case length >= 0:
		h["Content-Length"] = []string{strconv.FormatInt(length, 10)}
	}
	if _, ok := h["Content-Type"]; !ok {
		h["Content-Type"] = nil // keeps net/http from guessing
	}
	y.x.watch.SetReason(status, y.head.Reason)
	y.x.WriteHeader(status)
	return status
}

// copySpelled copies the fields with their names as the script spelled them: names are the same in any case (RFC 9110 §5.1), but
// there are clients of WebDAV and others that compare them.
func (y *relay) copySpelled(h http.Header) {
	for key, values := range y.head.Header {
		if name, own := y.head.Names[key]; own {
			delete(h, key) // our own field of that name
			key = name
		}
		h[key] = values
	}
}

// bodyAllowed says whether a response of this status has a body (RFC 9110 §6.4.1).
func (y *relay) bodyAllowed(status int) bool {
	return y.r.Method != http.MethodHead && status != http.StatusNoContent && status != http.StatusNotModified
}

// announced is the length that the script gave its response, -1 if it gave none.
func (y *relay) announced() int64 {
	lengths := y.head.Header["Content-Length"]
	if len(lengths) == 0 {
		return -1
	}
	n, err := strconv.ParseInt(lengths[0], 10, 64)
	if err != nil {
		panic("internal error: Content-Length " + lengths[0]) // fastcgi.ParseHead lets no other pass
	}
	return n
}

// over says whether the client has all that it will get although the script may go on: as much as was announced, or a response
// without a body.
func (y *relay) over() bool {
	if !y.headDone {
		return false
	}
	n := y.announced()
	return n >= 0 && int64(len(y.raw)-y.bodyAt) >= n || !y.bodyAllowed(y.head.Status)
}

// tooMuch logs a script that sends more than it announced. The rest is dropped, as nginx does: on the connection it would be read
// as the next response.
func (y *relay) tooMuch() {
	if y.s.rare.due("length", y.x.script) {
		y.s.log.Warn("a script sent more than its Content-Length: the rest was left out", "length", y.announced(),
			"pool", y.x.pool, "script", y.x.script, "request_id", y.x.id)
	}
}
