package phpstack

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// OpenProcess opens the binary that a process runs, wherever it is now.
func OpenProcess(pid int) (*Reader, error) {
	r, err := Open(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return nil, fmt.Errorf("process %d: %w", pid, explain(pid, err))
	}
	if name, err := os.Readlink(r.path); err == nil {
		r.path = name
	}
	return r, nil
}

// Attach prepares to read a process, which must run the Reader's binary. It stays valid while the process lives and does not execute
// another program. Nothing needs to be closed.
func (r *Reader) Attach(pid int) (*Process, error) {
	p := &Process{pid: pid, reader: r, memory: processMemory(pid)}
	exe := fmt.Sprintf("/proc/%d/exe", pid)
	file, err := os.Stat(exe)
	if err != nil {
		return nil, fmt.Errorf("cannot find out what process %d runs: %w", pid, explain(pid, err))
	}
	path, err := os.Readlink(exe)
	if err != nil {
		return nil, fmt.Errorf("cannot find out what process %d runs: %w", pid, explain(pid, err))
	}
	if !os.SameFile(file, r.file) {
		return nil, fmt.Errorf("cannot read the PHP stack of process %d: it runs %q, not %q", pid, path, r.path)
	}
	if r.fixed {
		return p, nil
	}
	if p.moved, err = r.displacement(pid, path); err != nil {
		return nil, fmt.Errorf("cannot find PHP in the memory of process %d: %w", pid, explain(pid, err))
	}
	return p, nil
}

// displacement reads from /proc/PID/maps how far the kernel has moved the binary (proc_pid_maps(5)).
func (r *Reader) displacement(pid int, path string) (uint64, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	mapped := false
	for lines := bufio.NewScanner(f); lines.Scan(); {
		mapped = true
		fields := strings.Fields(lines.Text())
		// The path is as it is, but for line breaks, which are octal there.
		if len(fields) < 6 || !strings.HasSuffix(lines.Text(), " "+strings.ReplaceAll(path, "\n", `\012`)) {
			continue
		}
		begin, _, _ := strings.Cut(fields[0], "-")
		start, err := strconv.ParseUint(begin, 16, 64)
		if err != nil {
			continue
		}
		offset, err := strconv.ParseUint(fields[2], 16, 64)
		if err != nil {
			continue
		}
		for _, s := range r.segments {
			page := uint64(os.Getpagesize() - 1)
			if s.offset&^page == offset {
				return start - s.address&^page, nil
			}
		}
	}
	if _, err := os.Stat(fmt.Sprintf("/proc/%d/exe", pid)); err != nil || !mapped {
		return 0, os.ErrProcessDone // or about to be: it has given back its memory
	}
	return 0, fmt.Errorf("%q is not among its mappings", path)
}

// processMemory is the memory of the process with this id.
type processMemory int

// copy is process_vm_readv(2). It fills whole ranges only as far as this is the kernel's page-wise copying; the last one may be filled
// in part.
func (m processMemory) copy(pieces []piece) (int, error) {
	local := make([]unix.Iovec, 0, len(pieces))
	remote := make([]unix.RemoteIovec, 0, len(pieces))
	for _, p := range pieces {
		if len(p.data) == 0 {
			return 0, errTorn
		}
		v := unix.Iovec{Base: &p.data[0]}
		v.SetLen(len(p.data))
		local = append(local, v)
		remote = append(remote, unix.RemoteIovec{Base: uintptr(p.address), Len: len(p.data)})
	}
	n, err := unix.ProcessVMReadv(int(m), local, remote, 0)
	switch {
	case errors.Is(err, unix.EFAULT):
		return 0, nil
	case errors.Is(err, unix.ESRCH):
		return 0, os.ErrProcessDone
	case err != nil:
		return 0, err
	}
	for i, p := range pieces {
		if n < len(p.data) {
			return i, nil
		}
		n -= len(p.data)
	}
	return len(pieces), nil
}

// explain says which setting forbids to read a process, and turns what is said of one that is gone into os.ErrProcessDone.
func explain(pid int, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ESRCH), errors.Is(err, os.ErrProcessDone):
		return os.ErrProcessDone
	case errors.Is(err, unix.ENOSYS):
		return fmt.Errorf("this kernel or sandbox has no process_vm_readv: %w", err)
	case !errors.Is(err, fs.ErrPermission):
		return err
	}
	scope, _ := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope")
	yama := strings.TrimSpace(string(scope))
	var why string
	switch owner, real := owners(pid); {
	case yama == "3":
		why = "kernel.yama.ptrace_scope is 3, which forbids it to everyone until the next boot"
	case hasPtrace():
		why = "a seccomp filter, security module or user namespace forbids it: in a container, " +
			"give it --cap-add SYS_PTRACE and a seccomp profile that allows process_vm_readv"
	case yama == "2":
		why = "kernel.yama.ptrace_scope is 2: give CAP_SYS_PTRACE, or set it to 1"
	case real != os.Geteuid():
		why = fmt.Sprintf("it belongs to uid %d: run as that user or root, or give CAP_SYS_PTRACE (--cap-add SYS_PTRACE)", real)
	case owner != real:
		why = "it has changed its user and is not dumpable: set process.dumpable = yes, or give CAP_SYS_PTRACE " +
			"(--cap-add SYS_PTRACE)"
	case yama == "1":
		why = "kernel.yama.ptrace_scope is 1, which allows it to its parent processes only: set it to 0, or give CAP_SYS_PTRACE"
	default:
		why = "give CAP_SYS_PTRACE (in a container --cap-add SYS_PTRACE)"
	}
	return fmt.Errorf("%w: %s", err, why)
}

// owners returns the owner of a process's folder in /proc, who is root when it is not dumpable (proc(5)), and its effective user.
func owners(pid int) (owner, effective int) {
	var s unix.Stat_t
	if err := unix.Stat(fmt.Sprintf("/proc/%d", pid), &s); err != nil {
		return -1, -1
	}
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(status)) {
		if ids, ok := strings.CutPrefix(line, "Uid:"); ok {
			if f := strings.Fields(ids); len(f) > 1 {
				effective, _ = strconv.Atoi(f[1])
			}
		}
	}
	return int(s.Uid), effective
}

// hasPtrace says whether this process has CAP_SYS_PTRACE.
func hasPtrace() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	return unix.Capget(&header, &data[0]) == nil && data[0].Effective&(1<<unix.CAP_SYS_PTRACE) != 0
}
