package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// buryForeign is the duty of process 1: in a container phpserve inherits what the programs that scripts left in the background
// leave behind, and buries it. Its own children have somebody who waits for them, so only what nobody has buried for a second
// is taken.
func buryForeign() {
	if os.Getpid() != 1 {
		return
	}
	go func() { // ends with the process
		dead := map[int]bool{}
		for range time.Tick(time.Second) {
			now := zombies()
			for _, pid := range now {
				if dead[pid] {
					_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil) // somebody else's after all
				}
			}
			clear(dead)
			for _, pid := range now {
				dead[pid] = true
			}
		}
	}()
}

// zombies are the children of process 1 that have ended and are not buried.
func zombies() (pids []int) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		text, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "stat"))
		if err != nil {
			continue
		}
		// The program's name in brackets may hold anything: proc_pid_stat(5).
		if bytes.HasPrefix(text[bytes.LastIndexByte(text, ')')+1:], []byte(" Z 1 ")) {
			pids = append(pids, pid)
		}
	}
	return pids
}
