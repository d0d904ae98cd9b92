package accept

import (
	"errors"
	"syscall"
	"time"
)

// Pause is how long accepting rests after an error that [Retry] is true for: 100 ms.
const Pause = 100 * time.Millisecond

// Retry says whether accepting can go on after an error of accept(2): descriptors or memory are short, or the client left early. After
// another one, such as net.ErrClosed, or nil it cannot.
func Retry(err error) bool {
	for _, e := range []error{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS, syscall.ECONNABORTED, syscall.EPROTO, syscall.EINTR,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
