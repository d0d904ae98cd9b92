package fastcgi

import (
	"errors"
	"net"
	"os"
)

// ConnError is a failure of the connection to the worker: it could not be
// written to or read from, or it ended before END_REQUEST. A time limit shows as
// errors.Is(err, os.ErrDeadlineExceeded), an early end as
// errors.Is(err, io.ErrUnexpectedEOF).
type ConnError struct {
	Op       string // "send request" or "read answer"
	Answered bool   // at least one byte of the answer had been received
	Unsent   bool   // not one byte of the request had been taken: the worker cannot have begun to run it
	Err      error
}

func (e *ConnError) Error() string {
	text := "cannot " + e.Op + ": " + e.Err.Error()
	if e.Answered {
		return text + " (after a part of the answer)"
	}
	return text
}

// Unwrap returns the cause.
func (e *ConnError) Unwrap() error { return e.Err }

// ProtocolError says that the worker sent what FastCGI 1.0 does not allow it to
// send; the connection is of no further use.
type ProtocolError struct {
	Type   RecordType // of the offending record
	Reason string
	// Foreign says that the record belongs to another request: the worker may
	// be sound, but it is not alone on its connection.
	Foreign bool
}

func (e *ProtocolError) Error() string {
	return "cannot read answer: worker sent a bad " + e.Type.String() + " record: " + e.Reason
}

// BodyError says that the request body could not be read, or ended before
// Request.BodyLen bytes; the worker is not to blame.
type BodyError struct{ Err error }

func (e *BodyError) Error() string { return "cannot read request body: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *BodyError) Unwrap() error { return e.Err }

// SafeToRetry reports whether err means that the worker's end of the connection
// went away before a byte of an answer was received, so that nothing can have
// reached the client yet. It is false when we gave up ourselves: a time limit ran
// out or the connection was closed by us. Whether the script had side effects is
// for the caller to judge by the request's method.
func SafeToRetry(err error) bool {
	var e *ConnError
	return errors.As(err, &e) && !e.Answered && !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, net.ErrClosed)
}
