package fastcgi

import (
	"fmt"
	"io"
	"net"
	"os"
	"testing"
)

func TestErrorTexts(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{&ConnError{Op: "read answer", Err: io.ErrUnexpectedEOF}, "cannot read answer: unexpected EOF"},
		{&ConnError{Op: "read answer", Answered: true, Err: io.ErrUnexpectedEOF}, "cannot read answer: unexpected EOF (after a part of the answer)"},
		{&ProtocolError{Type: TypeStdout, Reason: "version 2 instead of 1"}, "cannot read answer: worker sent a bad STDOUT record: version 2 instead of 1"},
		{&BodyError{Err: io.ErrUnexpectedEOF}, "cannot read request body: unexpected EOF"},
		{&ParamError{Part: "name"}, "cannot decode fastcgi parameter: input ends within the name"},
		{&HeadError{Reason: "more than 9 bytes"}, "cannot parse cgi response head: more than 9 bytes"},
	} {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

func TestSafeToRetryOnlyWhenTheWorkerWentAwaySilently(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want bool
	}{
		{"no error", nil, false},
		{"end before an answer", &ConnError{Err: io.ErrUnexpectedEOF}, true},
		{"the same, wrapped", fmt.Errorf("request: %w", &ConnError{Err: io.ErrUnexpectedEOF}), true},
		{"end within an answer", &ConnError{Answered: true, Err: io.ErrUnexpectedEOF}, false},
		{"time limit", &ConnError{Err: os.ErrDeadlineExceeded}, false},
		{"closed by us", &ConnError{Err: net.ErrClosed}, false},
		{"malformed answer", &ProtocolError{}, false},
		{"body not readable", &BodyError{Err: io.ErrUnexpectedEOF}, false},
	} {
		if got := SafeToRetry(tt.err); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
