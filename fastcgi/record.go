package fastcgi

import "encoding/binary"

// RecordType is the type byte of a record header (FastCGI 1.0 §8).
type RecordType uint8

// The record types of FastCGI 1.0 §8.
const (
	TypeBeginRequest    RecordType = 1
	TypeAbortRequest    RecordType = 2
	TypeEndRequest      RecordType = 3
	TypeParams          RecordType = 4
	TypeStdin           RecordType = 5
	TypeStdout          RecordType = 6
	TypeStderr          RecordType = 7
	TypeData            RecordType = 8
	TypeGetValues       RecordType = 9
	TypeGetValuesResult RecordType = 10
	TypeUnknownType     RecordType = 11
)

// MaxContent is the longest content of one record in bytes: contentLength has
// 16 bits (FastCGI 1.0 §3.3).
const MaxContent = 65535

const (
	version    = 1 // FCGI_VERSION_1
	headerSize = 8 // FCGI_HEADER_LEN
	maxPadding = 255
	maxRecord  = headerSize + MaxContent + maxPadding

	roleResponder = 1 // FCGI_RESPONDER, FastCGI 1.0 §6.2
	flagKeepConn  = 1 // FCGI_KEEP_CONN, FastCGI 1.0 §5.1

	endRequestSize = 8 // FCGI_EndRequestBody, FastCGI 1.0 §5.5

	// alignedContent is the longest content whose record is a multiple of 8
	// bytes without padding, which FastCGI 1.0 §3.3 recommends.
	alignedContent = MaxContent - headerSize + 1
)

// String returns the name that FastCGI 1.0 gives the type, without FCGI_.
func (t RecordType) String() string {
	names := [...]string{
		"type 0", "BEGIN_REQUEST", "ABORT_REQUEST", "END_REQUEST", "PARAMS", "STDIN", "STDOUT",
		"STDERR", "DATA", "GET_VALUES", "GET_VALUES_RESULT", "UNKNOWN_TYPE",
	}
	if int(t) < len(names) {
		return names[t]
	}
	return "type above 11"
}

// AppendRecord appends one record without padding (FastCGI 1.0 §3.3). Content
// longer than [MaxContent] is a programming error and panics.
func AppendRecord(dst []byte, t RecordType, id uint16, content []byte) []byte {
	if len(content) > MaxContent {
		panic("internal error: fastcgi record content exceeds 65535 bytes")
	}
	return append(appendHeader(dst, t, id, len(content)), content...)
}

// AppendStream appends content as as many records of a stream as it needs
// (FastCGI 1.0 §3.3, "stream record types"), none for empty content. It does not
// append the empty record that ends a stream.
func AppendStream(dst []byte, t RecordType, id uint16, content []byte) []byte {
	for len(content) > MaxContent {
		dst = AppendRecord(dst, t, id, content[:alignedContent])
		content = content[alignedContent:]
	}
	if len(content) > 0 {
		dst = AppendRecord(dst, t, id, content)
	}
	return dst
}

func appendHeader(dst []byte, t RecordType, id uint16, contentLength int) []byte {
	return append(dst, version, byte(t), byte(id>>8), byte(id), byte(contentLength>>8), byte(contentLength), 0, 0)
}

// recordSize is the length of the whole record that starts with header h.
func recordSize(h []byte) int {
	return headerSize + int(binary.BigEndian.Uint16(h[4:])) + int(h[6])
}
