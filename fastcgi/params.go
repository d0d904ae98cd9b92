package fastcgi

import (
	"encoding/binary"
	"math"
)

// longLength marks the four-byte form of a length (FastCGI 1.0 §3.4).
const longLength = 1 << 31

// AppendParam appends one name-value pair (FastCGI 1.0 §3.4): lengths up to 127
// take one byte, longer ones four. A name or value of 2 GiB or more panics.
func AppendParam(dst []byte, name, value string) []byte {
	dst = appendParamLengths(dst, len(name), len(value))
	dst = append(dst, name...)
	return append(dst, value...)
}

func appendParamLengths(dst []byte, name, value int) []byte {
	return appendLength(appendLength(dst, name), value)
}

func appendLength(dst []byte, n int) []byte {
	if n < 128 {
		return append(dst, byte(n))
	}
	if n > math.MaxInt32 {
		panic("internal error: fastcgi parameter exceeds 2 GiB")
	}
	return binary.BigEndian.AppendUint32(dst, uint32(n)|longLength)
}

// NextParam decodes the first name-value pair of p and returns what follows it.
// Name and value alias p. Truncated or empty input is a *[ParamError].
func NextParam(p []byte) (name, value, rest []byte, err error) {
	nameLength, body, ok := takeLength(p)
	if !ok {
		return nil, nil, nil, &ParamError{Part: "name length"}
	}
	valueLength, body, ok := takeLength(body)
	if !ok {
		return nil, nil, nil, &ParamError{Part: "value length"}
	}
	// Two comparisons, not one of the sum: the sum may overflow a 32-bit int
	// (the mechanism of CVE-2025-23016 in libfcgi).
	if nameLength > len(body) {
		return nil, nil, nil, &ParamError{Part: "name"}
	}
	name, body = body[:nameLength:nameLength], body[nameLength:]
	if valueLength > len(body) {
		return nil, nil, nil, &ParamError{Part: "value"}
	}
	return name, body[:valueLength:valueLength], body[valueLength:], nil
}

func takeLength(p []byte) (n int, rest []byte, ok bool) {
	if len(p) == 0 {
		return 0, nil, false
	}
	if p[0] < 128 {
		return int(p[0]), p[1:], true
	}
	if len(p) < 4 {
		return 0, nil, false
	}
	return int(binary.BigEndian.Uint32(p) &^ longLength), p[4:], true
}

// ParamError says which part of a name-value pair the input ends in.
type ParamError struct {
	Part string // "name length", "value length", "name" or "value"
}

func (e *ParamError) Error() string {
	return "cannot decode fastcgi parameter: input ends within the " + e.Part
}
