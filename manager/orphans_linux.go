package manager

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// orphans are the processes that scripts of a pool started and whose parents have ended. Phpserve inherits them, as a child
// subreaper (prctl(2)), so that it can end them with the pool, also where they have left its process group with setsid(2).
//
// Whose they are tells a mark that a process passes on to all its descendants and that none of them can take off: a limit on
// file locks that Linux has not kept for twenty years (RLIMIT_LOCKS of getrlimit(2)), lowered to a number of the pool's own.
type orphans struct {
	mark uint64
	user int // whom the pool's PHP runs as

	mu     sync.Mutex   // guards the fields below
	byUser bool         // there is no mark but the user
	direct map[int]bool // processes that phpserve itself has started and waits for
	list   *os.File     // phpserve's own children, proc_tid_children(5); nil: the kernel has no such list
	last   []byte       // what it said last
	seen   uint64       // how often somebody was new in it
}

// newOrphans makes phpserve the heir of its descendants.
func newOrphans(owner *credential) (*orphans, error) {
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) // never fails since Linux 3.4
	o := &orphans{direct: map[int]bool{}, user: os.Geteuid()}
	if owner != nil {
		o.user = int(owner.uid)
	}
	var limit unix.Rlimit
	if err := unix.Prlimit(0, unix.RLIMIT_LOCKS, nil, &limit); err != nil {
		return nil, fmt.Errorf("cannot get phpserve's own limits: %v", err)
	}
	var random [8]byte
	rand.Read(random[:])                                                       // never fails (crypto/rand, Go 1.24)
	if n := binary.LittleEndian.Uint64(random[:])>>16 | 1<<48; n < limit.Max { // else phpserve was started by another's script
		o.mark = n
	} else {
		o.mark = limit.Max - 1 - n%1000
	}
	list, err := os.Open(fmt.Sprintf("/proc/self/task/%d/children", os.Getpid()))
	if err != nil && !isGone(err) {
		return nil, fmt.Errorf("cannot look for the processes that scripts leave behind: %w", err)
	}
	o.list = list
	return o, nil
}

// adopt marks a process that phpserve has just started, before it can have started others. Root in a container may not mark
// processes of another user (CAP_SYS_RESOURCE of capabilities(7)): there the pool's user is the mark.
func (o *orphans) adopt(pid int) {
	err := unix.Prlimit(pid, unix.RLIMIT_LOCKS, &unix.Rlimit{Cur: o.mark, Max: o.mark}, nil)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.direct[pid] = true
	if errors.Is(err, unix.EPERM) {
		o.byUser = true
	}
}

// forget takes note that the end of an adopted process has been waited for.
func (o *orphans) forget(pid int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.direct, pid)
}

// has says whether a process has the pool's mark.
func (o *orphans) has(pid int) bool {
	if o == nil {
		return false
	}
	if o.onlyByUser() {
		uid, err := userOf(pid)
		return err == nil && uid == o.user && uid != os.Geteuid()
	}
	var limit unix.Rlimit
	return unix.Prlimit(pid, unix.RLIMIT_LOCKS, nil, &limit) == nil && limit.Max == o.mark
}

// onlyByUser says whether phpserve may not mark the pool's processes.
func (o *orphans) onlyByUser() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.byUser
}

// userOf is the real user of a process: proc_pid_status(5). The owner of its files in /proc may be another, proc(5).
func userOf(pid int) (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, uids, _ := strings.Cut(string(text), "\nUid:")
	var uid int
	_, err = fmt.Sscan(uids, &uid)
	return uid, err
}

// count changes when phpserve has inherited a process.
func (o *orphans) count() uint64 {
	if o == nil || o.list == nil {
		return 0
	}
	var text [1024]byte
	o.mu.Lock()
	defer o.mu.Unlock()
	n, _ := o.list.ReadAt(text[:], 0) // the end of the list
	if now := text[:n]; !bytes.Equal(now, o.last) {
		if somebodyIsNew(o.last, now) {
			o.seen++
		}
		o.last = append(o.last[:0], now...)
	}
	if n == len(text) {
		o.seen++ // there are more, who may have come
	}
	return o.seen
}

// somebodyIsNew compares two lists of children. The kernel adds at the end, so that a list out of which some have died has the others in
// their old order.
func somebodyIsNew(before, now []byte) bool {
	old := bytes.Fields(before)
	for pid := range bytes.FieldsSeq(now) {
		for len(old) > 0 && !bytes.Equal(old[0], pid) {
			old = old[1:]
		}
		if len(old) == 0 {
			return true
		}
		old = old[1:]
	}
	return false
}

// bury buries the dead among the pool's orphans.
func (o *orphans) bury() {
	o.each(func(pid int, state string) {
		if state == "Z" {
			bury(pid)
		}
	})
}

// end ends the pool's orphans, and theirs, which phpserve inherits in turn.
func (o *orphans) end() {
	if o == nil || o.onlyByUser() {
		return // another pool may have the same user; EndDescendants ends them
	}
	for deadline := time.Now().Add(orphansPatience); time.Now().Before(deadline); {
		alive := 0
		o.each(func(pid int, state string) {
			if state != "Z" {
				alive++
				_ = unix.Kill(pid, unix.SIGKILL) // phpserve's own child, whose number nobody else can have before it is buried
			} else {
				bury(pid)
			}
		})
		if alive == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// orphansPatience is how long the end of a pool tries to end processes that multiply.
const orphansPatience = 5 * time.Second

// each calls f for each process that phpserve has inherited and that has the pool's mark.
func (o *orphans) each(f func(pid int, state string)) {
	if o == nil || o.list == nil {
		return
	}
	for _, pid := range inherited() {
		o.mu.Lock()
		direct := o.direct[pid]
		o.mu.Unlock()
		if direct || !o.has(pid) {
			continue
		}
		if fields, err := statOf(pid); err == nil && fields[1] == strconv.Itoa(os.Getpid()) {
			f(pid, fields[0])
		}
	}
}

func (o *orphans) close() {
	if o != nil && o.list != nil {
		o.list.Close()
	}
}

// inherited are the children of phpserve's first thread, among which are all those that phpserve inherits.
func inherited() (pids []int) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/children", os.Getpid()))
	if err != nil {
		return nil // the next look finds them
	}
	for field := range bytes.FieldsSeq(text) {
		if pid, err := strconv.Atoi(string(field)); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// EndDescendants ends what is left of the processes that scripts started, after all pools have stopped: those that have taken a
// lower limit than their pool's mark, and those of a user that no pool could mark.
func EndDescendants() {
	var own unix.Rlimit
	if unix.Prlimit(0, unix.RLIMIT_LOCKS, nil, &own) != nil {
		return
	}
	for range 100 {
		n := 0
		for _, pid := range inherited() {
			var limit unix.Rlimit
			fields, err := statOf(pid)
			if err != nil || fields[1] != strconv.Itoa(os.Getpid()) || fields[0] == "Z" {
				continue
			}
			uid, err := userOf(pid)
			if foreign := err == nil && uid != os.Geteuid(); !foreign && (unix.Prlimit(pid, unix.RLIMIT_LOCKS, nil, &limit) != nil || limit.Max >= own.Max) {
				continue
			}
			n++
			_ = unix.Kill(pid, syscall.SIGKILL) // a child of phpserve's that nobody has buried
		}
		if n == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// offMainThread runs f locked to a thread that is not the process's first, to whose children all belong that phpserve inherits.
// The thread ends with f.
func offMainThread(f func()) {
	runtime.LockOSThread()
	if unix.Gettid() != os.Getpid() {
		f()
		return
	}
	locked := make(chan struct{})
	go func() { // it cannot run here, because the first thread is taken
		runtime.LockOSThread()
		close(locked)
		f()
	}()
	<-locked
	runtime.UnlockOSThread()
}
