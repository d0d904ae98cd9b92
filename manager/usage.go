package manager

import "time"

// Usage is what a worker's process takes of the machine at this moment, also while a request runs.
type Usage struct {
	// CPU is the processor time that the process has used since its start.
	CPU time.Duration
	// Memory is what the process has in memory and does not share with files or with opcache, in bytes.
	Memory uint64
}

// Measure adds what each worker takes of the machine. A process that is gone takes nothing.
func (s *Status) Measure() {
	for i := range s.Processes {
		p := &s.Processes[i]
		p.Usage, _ = usageOf(p.PID) // an error is a process that has ended, or a system that does not tell
	}
}
