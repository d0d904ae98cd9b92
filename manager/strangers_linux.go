package manager

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// endStrangers ends what the scripts of an ended worker forked and left in its process group, as far as it still is php-cgi: it
// would wait for requests for ever at a socket that nobody knows any more. Other programs go on.
func endStrangers(group int, php string) {
	program, err := os.Stat(php)
	if err != nil {
		return // php-cgi itself is gone: there is nothing to compare with
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if member := (&process{pid: pid}); !member.inGroup(group) {
			continue
		}
		stranger, err := newProcess(pid, nil)
		if err != nil {
			continue
		}
		exe, err := os.Stat(filepath.Join("/proc", entry.Name(), "exe"))
		if err == nil && os.SameFile(exe, program) && stranger.inGroup(group) {
			stranger.signal(syscall.SIGKILL)
		}
		stranger.letGo()
	}
}
