package manager

import "golang.org/x/sys/unix"

// unblockSignals has this thread, and so what it starts, take every signal: phpserve may have been started with some blocked, as it is
// by its own image before an upgrade, and php-cgi ends by signals.
func unblockSignals() { _ = unix.PthreadSigmask(unix.SIG_SETMASK, &unix.Sigset_t{}, nil) } // the arguments are right
