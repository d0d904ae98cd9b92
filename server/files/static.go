package files

import (
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// staticMethods is the Allow field of a static file.
const staticMethods = "GET, HEAD, OPTIONS"

// Static serves regular files as they are, and their precompressed
// siblings (app.js.br, app.js.zst, app.js.gz) to clients that accept them.
//
// Siblings are looked for only where they can help, that is for the types that
// contentType calls compressible, and only in the codings that the client
// accepts: a client without Accept-Encoding, or an image, costs no lookup. So
// that this is still right for caches, every response of a compressible type
// says Vary: Accept-Encoding, whether or not a sibling exists at the moment.
type Static struct {
	root  *Root
	types Types
}

// NewStatic serves the files below root with the given types.
func NewStatic(root *Root, types Types) *Static { return &Static{root, types} }

// Serve answers with the file f that root.open gave together with fnd. It does
// not close f.
func (s *Static) Serve(w http.ResponseWriter, r *http.Request, f *os.File, fnd Found) {
	h := w.Header()
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodOptions:
		h.Set("Allow", staticMethods)
		w.WriteHeader(http.StatusNoContent)
		return
	default:
		h.Set("Allow", staticMethods)
		http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
		return
	}
	media := s.types.of(fnd.url)
	variant, sibling := fnd, -1
	if accept := r.Header["Accept-Encoding"]; media.compressible {
		addVary(h)
		if len(accept) > 0 {
			a := parseAcceptEncoding(accept)
			var siblingFile *os.File
			var siblingFound Found
			if siblingFile, siblingFound, sibling = s.openSibling(a, fnd); sibling >= 0 {
				defer siblingFile.Close()
				f, variant, media.encoding = siblingFile, siblingFound, codingOf(sibling).name
			} else if a.identity == 0 {
				http.Error(w, http.StatusText(http.StatusNotAcceptable), http.StatusNotAcceptable)
				return
			}
		}
	}
	serveRepresentation(w, r, f, variant.Info, media, etag(variant.Info, sibling))
}

// serveRepresentation answers a GET or HEAD with one representation of a resource, by RFC 9110 sections 13 and 14.
// http.ServeContent differs from these in a dozen places, see TestConditionsAndRangesFollowRFC9110.
func serveRepresentation(w http.ResponseWriter, r *http.Request, f *os.File, info Info, media mediaType, tag string) {
	h, now := w.Header(), time.Now()
	v := validators{etag: tag, modified: lastModified(info.mtime, now)}
	h.Set("Etag", tag)
	h.Set("X-Content-Type-Options", "nosniff")
	switch status := v.precondition(r); status {
	case 0:
	case http.StatusPreconditionFailed:
		h.Set("Content-Length", "0")
		fallthrough
	default:
		w.WriteHeader(status)
		return
	}
	h.Set("Accept-Ranges", "bytes")
	if !v.modified.IsZero() {
		h.Set("Last-Modified", v.modified.UTC().Format(http.TimeFormat))
	}
	var ranges []byteRange
	if lines := r.Header["Range"]; len(lines) > 0 && r.Method == http.MethodGet && v.wantsRange(r, now) {
		var err error
		if ranges, err = parseRange(lines, info.size); err != nil {
			h.Set("Content-Range", "bytes */"+strconv.FormatInt(info.size, 10))
			h.Set("Content-Length", "0")
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return
		}
	}
	h.Set("Content-Type", media.name)
	if media.encoding != "" {
		h.Set("Content-Encoding", media.encoding)
	}
	switch {
	case ranges != nil:
		sendRanges(w, f, info.size, ranges)
	case r.Method == http.MethodHead:
		h.Set("Content-Length", strconv.FormatInt(info.size, 10))
		w.WriteHeader(http.StatusOK)
	default:
		sendPart(w, f, http.StatusOK, byteRange{0, info.size})
	}
}

// addVary adds Accept-Encoding to what the response varies on.
func addVary(h http.Header) {
	for _, v := range h["Vary"] {
		for name := range strings.SplitSeq(v, ",") {
			if name = strings.TrimSpace(name); name == "*" || strings.EqualFold(name, "Accept-Encoding") {
				return
			}
		}
	}
	h.Add("Vary", "Accept-Encoding")
}

// etag is a strong entity tag (RFC 9110 section 8.8.3): change time, size and
// inode in hex. The separators keep two files whose numbers only look alike
// when written without a gap apart (Caddy commit d6f7f18b), and the coding is
// part of it because each coding is a representation of its own.
func etag(info Info, encoding int) string {
	var stack [64]byte
	b := append(stack[:0], '"')
	b = strconv.AppendInt(b, info.mtime.UnixNano(), 16)
	b = append(b, '-')
	b = strconv.AppendInt(b, info.size, 16)
	b = append(b, '-')
	b = strconv.AppendUint(b, info.ino, 16)
	if encoding >= 0 {
		b = append(b, '-')
		b = append(b, codingOf(encoding).name...)
	}
	return string(append(b, '"'))
}

// lastModified leaves out a time in the future, which RFC 9110 section 8.8.2.1
// forbids to send.
func lastModified(mtime, now time.Time) time.Time {
	if mtime.After(now) {
		return time.Time{}
	}
	return mtime
}
