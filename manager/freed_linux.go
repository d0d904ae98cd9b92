package manager

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// freeDead ends the tracer of a process that phpserve has killed: until a tracer has gone or has waited for it, the kernel does not tell
// the parent that its child has ended (ptrace(2)), and scripts can trace what runs as their user. Tracers of other users stay.
func (o *orphans) freeDead(pid int) {
	if o == nil {
		return
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil || !strings.Contains(string(text), "\nState:\tZ") {
		return
	}
	_, after, _ := strings.Cut(string(text), "\nTracerPid:")
	var tracer int
	if _, err := fmt.Sscan(after, &tracer); err != nil || tracer <= 1 || tracer == os.Getpid() {
		return
	}
	if uid, err := userOf(tracer); o.has(tracer) || err == nil && uid == o.user && uid != os.Geteuid() {
		_ = unix.Kill(tracer, unix.SIGKILL) // an error means that it has gone
	}
}
