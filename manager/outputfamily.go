package manager

// familyLimit is how many processes are remembered; more are looked up each time.
const familyLimit = 4096

// familyDepth is how many ancestors of a process are looked at.
const familyDepth = 32

// family remembers which worker a process is, or was started by.
type family struct {
	workers  map[int]bool // those that have said something
	programs map[int]int  // the worker that a program was started by, until its request ends: then its pid may be another's
}

func newFamily() family { return family{workers: map[int]bool{}, programs: map[int]int{}} }

func (f *family) requestEnded(worker int, gone bool) {
	for program, of := range f.programs {
		if of == worker {
			delete(f.programs, program)
		}
	}
	if gone {
		delete(f.workers, worker)
	}
}

// workerOf is the worker that a process is or descends from; 0 for the zygote. found is false where the process cannot be looked
// at because it has ended: then the answer is its own pid, which is at least true.
func (o *output) workerOf(pid int) (worker int, found bool) {
	switch {
	case o.own:
		return o.first, true
	case pid == o.first || pid == 0:
		return 0, true
	}
	o.mu.Lock()
	known, ok := o.family.programs[pid]
	if !ok && o.family.workers[pid] {
		known, ok = pid, true
	}
	o.mu.Unlock()
	if ok {
		return known, true
	}
	if worker, found = o.lookUp(pid); !found {
		return pid, false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case len(o.family.workers)+len(o.family.programs) >= familyLimit:
	case worker == pid:
		o.family.workers[pid] = true
	default:
		o.family.programs[pid] = worker
	}
	return worker, true
}

// lookUp goes from a process to its parent until that is the zygote. What has no such ancestor is its own: a daemon.
func (o *output) lookUp(pid int) (worker int, found bool) {
	at := pid
	for range familyDepth {
		parent, err := parentOf(at)
		switch {
		case err != nil:
			return 0, false
		case parent == o.first:
			return at, true
		case parent <= 1:
			return pid, true
		}
		at = parent
	}
	return pid, true
}
