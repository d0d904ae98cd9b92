package server

import (
	"maps"
	"net/http"
	"strconv"
)

// deliver sends a response that is complete: the length is known.
func (y *relay) deliver() error {
	status := y.writeHead(int64(len(y.raw) - y.bodyAt))
	if y.bodyAllowed(status) {
		large := len(y.raw) > httpBuffer
		if large {
			y.x.conn.hold()
		}
		_, err := y.x.Write(y.raw[y.bodyAt:])
		if large && err == nil {
			err = y.x.conn.release()
		}
		if err != nil {
			y.x.err = errClientGone
		}
	}
	return nil
}

// writeHead sends status and header fields; length is the body's, or -1 if it is not known yet.
func (y *relay) writeHead(length int64) int {
	h := y.x.Header()
	maps.Copy(h, y.head.Header)
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
	y.x.WriteHeader(status)
	return status
}

func (y *relay) bodyAllowed(status int) bool {
	return y.r.Method != http.MethodHead && status != http.StatusNoContent && status != http.StatusNotModified
}
