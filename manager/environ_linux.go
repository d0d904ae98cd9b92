package manager

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	wordSize = int(unsafe.Sizeof(uintptr(0)))
	// The fields of /proc/PID/stat behind the name, from which proc_pid_stat(5) counts the third.
	statStack, statEnvStart, statEnvEnd = 28 - 3, 50 - 3, 51 - 3
	// environmentLimit bounds what is read of a process: far more than execve(2) lets a php-cgi of phpserve have.
	environmentLimit = 8 << 20
)

// cleanEnvironment changes the environment of a process in its memory. It must not run anything that reads it meanwhile. owner is
// whom the process belongs to, nil for phpserve's own user.
func cleanEnvironment(pid int, owner *credential) error {
	err := rewriteEnvironment(pid)
	if errors.Is(err, unix.EPERM) && owner != nil { // root without CAP_SYS_PTRACE, as in a container
		err = asOwner(owner, func() error { return rewriteEnvironment(pid) })
	}
	return err
}

// rewriteEnvironment finds the environment where the kernel put it: behind the arguments, at the bottom of the stack.
func rewriteEnvironment(pid int) error {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return err
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) <= statEnvEnd {
		return errors.ErrUnsupported
	}
	var at [3]uint64
	for i, field := range []int{statStack, statEnvStart, statEnvEnd} {
		at[i], _ = strconv.ParseUint(fields[field], 10, 64) // the kernel's number
	}
	stack, begin, end := at[0], at[1], at[2]
	if stack == 0 || begin == 0 || end < begin || end-begin > environmentLimit {
		return fmt.Errorf("cannot find the environment of process %d: %w", pid, unix.EPERM) // the kernel hides addresses from who may not trace
	}
	text := make([]byte, end-begin)
	if err := transfer(unix.ProcessVMReadv, pid, begin, text); err != nil {
		return err
	}
	table, envp, err := environmentTable(pid, stack, begin, end)
	if err != nil {
		return err
	}
	strs := make([]string, len(table))
	for i, address := range table {
		value, _, _ := bytes.Cut(text[address-begin:], []byte{0})
		strs[i] = string(value)
	}
	edited, keep := editEnvironment(strs)
	var pointers []byte
	for i, address := range table {
		if !keep[i] {
			clear(text[address-begin:][:len(strs[i])])
			continue
		}
		copy(text[address-begin:], edited[i]) // as long as it was
		pointers = appendWord(pointers, address)
	}
	for len(pointers) < len(table)*wordSize {
		pointers = appendWord(pointers, 0)
	}
	if err := transfer(unix.ProcessVMWritev, pid, envp, pointers); err != nil {
		return err
	}
	return transfer(unix.ProcessVMWritev, pid, begin, text)
}

// environmentTable reads the addresses of the variables, and says where they are.
func environmentTable(pid int, stack, begin, end uint64) (table []uint64, envp uint64, err error) {
	word := make([]byte, wordSize)
	read := func(address uint64) uint64 {
		if err == nil {
			err = transfer(unix.ProcessVMReadv, pid, address, word)
		}
		if wordSize == 4 {
			return uint64(binary.NativeEndian.Uint32(word))
		}
		return binary.NativeEndian.Uint64(word)
	}
	argc := read(stack)
	envp = stack + uint64(wordSize)*(argc+2)
	if err != nil || argc > 1<<16 || read(envp-uint64(wordSize)) != 0 {
		return nil, 0, errors.Join(err, fmt.Errorf("cannot find the environment of process %d", pid))
	}
	for at := envp; ; at += uint64(wordSize) {
		address := read(at)
		switch {
		case err != nil:
			return nil, 0, err
		case address == 0:
			return table, envp, nil
		case address < begin || address >= end:
			return nil, 0, fmt.Errorf("cannot find the environment of process %d", pid)
		}
		table = append(table, address)
	}
}

func appendWord(b []byte, word uint64) []byte {
	if wordSize == 4 {
		return binary.NativeEndian.AppendUint32(b, uint32(word))
	}
	return binary.NativeEndian.AppendUint64(b, word)
}

// transfer is process_vm_readv(2) or process_vm_writev(2) of one piece.
func transfer(call func(int, []unix.Iovec, []unix.RemoteIovec, uint) (int, error), pid int, address uint64, data []byte) error {
	if len(data) == 0 {
		return nil
	}
	local := unix.Iovec{Base: &data[0]}
	local.SetLen(len(data))
	n, err := call(pid, []unix.Iovec{local}, []unix.RemoteIovec{{Base: uintptr(address), Len: len(data)}}, 0)
	if err == nil && n < len(data) {
		err = unix.EFAULT
	}
	if err != nil {
		return fmt.Errorf("cannot change the environment of process %d: %w", pid, err)
	}
	return nil
}

// asOwner calls do on a thread that is the pool's user, with no capabilities, and that ends afterwards.
func asOwner(owner *credential, do func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this goroutine
		gid, uid := uintptr(owner.gid), uintptr(owner.uid)
		// Of this thread, unlike those of package syscall.
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESGID, gid, gid, gid); errno != 0 {
			result <- errno
			return
		}
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uid, uid, uid); errno != 0 {
			result <- errno
			return
		}
		result <- do()
	}()
	return <-result
}
