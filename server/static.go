package server

import (
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// maxRanges is how many ranges of one Range field are looked at; a field with
// more is ignored (RFC 9110 section 14.2 allows it).
const maxRanges = 32

// staticMethods is the Allow field of a static file.
const staticMethods = "GET, HEAD, OPTIONS"

// staticFiles serves regular files as they are, and their precompressed
// siblings (app.js.br, app.js.zst, app.js.gz) to clients that accept them.
//
// Siblings are looked for only where they can help, that is for the types that
// contentType calls compressible, and only in the codings that the client
// accepts: a client without Accept-Encoding, or an image, costs no lookup. So
// that this is still right for caches, every response of a compressible type
// says Vary: Accept-Encoding, whether or not a sibling exists at the moment.
type staticFiles struct {
	root *docRoot
}

func newStaticFiles(root *docRoot) *staticFiles { return &staticFiles{root: root} }

// serve answers with the file f that root.open gave together with fnd. It does
// not close f.
func (s *staticFiles) serve(w http.ResponseWriter, r *http.Request, f *os.File, fnd found) {
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

	mediaType, compressible := contentType(fnd.url)
	variant, encoding := fnd, -1
	if accept := r.Header["Accept-Encoding"]; compressible {
		addVary(h)
		if len(accept) > 0 {
			a := parseAcceptEncoding(accept)
			var sibling *os.File
			var siblingFound found
			if sibling, siblingFound, encoding = s.openSibling(a, fnd); encoding >= 0 {
				defer sibling.Close()
				f, variant = sibling, siblingFound
			} else if a.identity == 0 {
				http.Error(w, http.StatusText(http.StatusNotAcceptable), http.StatusNotAcceptable)
				return
			}
		}
	}

	h.Set("Content-Type", mediaType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Etag", etag(variant.fileInfo, encoding))
	if encoding >= 0 {
		setEncoding(h, r, encoding, variant.size)
	}
	http.ServeContent(w, withoutManyRanges(r), "", lastModified(variant.mtime), f)
}

// setEncoding declares the content coding. http.ServeContent leaves out
// Content-Length next to it unless it sends ranges, because it suspects a
// middleware that compresses; here the length is known. It takes the header
// away again for 304 and 416 but not for 412, so not with its conditions.
func setEncoding(h http.Header, r *http.Request, encoding int, size int64) {
	h.Set("Content-Encoding", codingOf(encoding).name)
	if r.Header.Get("If-Match") == "" && r.Header.Get("If-Unmodified-Since") == "" {
		h.Set("Content-Length", strconv.FormatInt(size, 10))
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
func etag(info fileInfo, encoding int) string {
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
// forbids to send; http.ServeContent sends none for the zero time.
func lastModified(mtime time.Time) time.Time {
	if mtime.After(time.Now()) {
		return time.Time{}
	}
	return mtime
}

// withoutManyRanges drops a Range field with more than maxRanges ranges.
// http.ServeContent itself ignores ranges that add up to more than the file,
// so overlaps cannot multiply it either (CVE-2011-3192).
func withoutManyRanges(r *http.Request) *http.Request {
	if strings.Count(r.Header.Get("Range"), ",") < maxRanges {
		return r
	}
	plain := *r // the access log still shows what the client sent
	plain.Header = r.Header.Clone()
	plain.Header.Del("Range")
	return &plain
}
