//go:build unix

package accept

import "syscall"

// OpenFilesLimit is the limit on open files; 0: none. package os has raised it to the hard one at the start, as far as it can.
func OpenFilesLimit() int {
	const most = 1 << 30
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return int(min(uint64(limit.Cur), most))
}
