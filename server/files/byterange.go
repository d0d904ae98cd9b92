package files

import (
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"os"
	"strconv"
	"strings"
)

// maxRanges is how many ranges of one Range field are looked at; a field with more is ignored (RFC 9110 section 14.2 allows
// it, and CVE-2011-3192 is why).
const maxRanges = 32

// byteRange is a part of a file, never an empty one.
type byteRange struct{ start, length int64 }

func (b byteRange) contentRange(size int64) string {
	return fmt.Sprintf("bytes %d-%d/%d", b.start, b.start+b.length-1, size)
}

// parseRange reads the lines of a Range field for a file of size bytes (RFC 9110 section 14.1.2). No ranges and no error is
// a field to be ignored: another unit than bytes, bad syntax, too much work, or any of an empty file, which has no part that
// could be named. errRange is one that no byte is in.
func parseRange(lines []string, size int64) ([]byteRange, error) {
	if size == 0 {
		return nil, nil
	}
	unit, set, ok := strings.Cut(strings.Join(lines, ","), "=")
	if !ok || !strings.EqualFold(strings.Trim(unit, " \t"), "bytes") || strings.Count(set, ",") >= maxRanges {
		return nil, nil
	}
	var ranges []byteRange
	specs, total := 0, int64(0)
	for spec := range strings.SplitSeq(set, ",") {
		if spec = strings.Trim(spec, " \t"); spec == "" {
			continue // RFC 9110 section 5.6.1.2
		}
		b, ok := parseRangeSpec(spec, size)
		if !ok {
			return nil, nil
		}
		specs++
		if b.length > 0 {
			ranges = append(ranges, b)
			total += b.length
		}
	}
	switch {
	case specs == 0 || total > size: // overlapping ranges could ask for any multiple of the file
		return nil, nil
	case len(ranges) == 0:
		return nil, errRange
	}
	return ranges, nil
}

// errRange is a Range field that names no byte of the file.
var errRange = fmt.Errorf("range not satisfiable")

// parseRangeSpec reads one range. Its length is 0 where it has no byte of the file.
func parseRangeSpec(spec string, size int64) (byteRange, bool) {
	first, last, ok := strings.Cut(spec, "-")
	if !ok || !digits(first) || !digits(last) || first == "" && last == "" {
		return byteRange{}, false
	}
	if first == "" { // the last bytes
		n := min(decimal(last), size)
		return byteRange{size - n, n}, true
	}
	start, end := decimal(first), size-1
	if last != "" {
		// Numbers that are too large for int64 are compared as text: they are both beyond the file, but may be in the wrong order.
		if less(last, first) {
			return byteRange{}, false
		}
		end = min(end, decimal(last))
	}
	return byteRange{start, max(end-start+1, 0)}, true
}

// digits says whether s has digits only.
func digits(s string) bool { return strings.Trim(s, "0123456789") == "" }

// decimal is the number s, or the largest one that there is.
func decimal(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 1<<63 - 1
	}
	return n
}

// less compares numbers of any size.
func less(a, b string) bool {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	return len(a) < len(b) || len(a) == len(b) && a < b
}

// sendRanges answers with parts of f: one as it is, several as multipart/byteranges (RFC 9110 section 14.6).
func sendRanges(w http.ResponseWriter, f *os.File, size int64, ranges []byteRange) {
	h := w.Header()
	if len(ranges) == 1 {
		h.Set("Content-Range", ranges[0].contentRange(size))
		sendPart(w, f, http.StatusPartialContent, ranges[0])
		return
	}
	partType := h.Get("Content-Type")
	part := func(b byteRange) textproto.MIMEHeader {
		return textproto.MIMEHeader{"Content-Type": {partType}, "Content-Range": {b.contentRange(size)}}
	}
	// Written twice, first to learn the length.
	var length lengthWriter
	parts := multipart.NewWriter(&length)
	boundary := parts.Boundary()
	for _, b := range ranges {
		_, _ = parts.CreatePart(part(b)) // a lengthWriter never fails
		length += lengthWriter(b.length)
	}
	_ = parts.Close()
	h.Set("Content-Type", "multipart/byteranges; boundary="+boundary)
	h.Set("Content-Length", strconv.FormatInt(int64(length), 10))
	w.WriteHeader(http.StatusPartialContent)
	parts = multipart.NewWriter(w)
	if parts.SetBoundary(boundary) != nil {
		panic("internal error: a boundary of multipart's own is not valid")
	}
	for _, b := range ranges {
		if _, err := parts.CreatePart(part(b)); err != nil {
			return // the client left
		}
		if _, err := f.Seek(b.start, io.SeekStart); err != nil {
			return
		}
		if _, err := io.CopyN(w, f, b.length); err != nil {
			return // as above, or the file became shorter: net/http closes the connection
		}
	}
	_ = parts.Close()
}

// sendPart answers with one part of f, which may be all of it.
func sendPart(w http.ResponseWriter, f *os.File, status int, b byteRange) {
	if b.start > 0 {
		if _, err := f.Seek(b.start, io.SeekStart); err != nil {
			http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
			return
		}
	}
	w.Header().Set("Content-Length", strconv.FormatInt(b.length, 10))
	w.WriteHeader(status)
	_, _ = io.CopyN(w, f, b.length) // see sendRanges
}

// lengthWriter counts what is written to it.
type lengthWriter int64

func (n *lengthWriter) Write(p []byte) (int, error) {
	*n += lengthWriter(len(p))
	return len(p), nil
}
