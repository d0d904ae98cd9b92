package spool

import (
	"github.com/prometheus/client_golang/prometheus"
)

// Config is what spools may take. All sizes are in bytes, and zero means no limit unless it says otherwise.
type Config struct {
	// Dir is the folder of the files. Empty: the system's temporary folder.
	Dir string
	// Memory is how much of one body or response is kept in memory; what is more goes to a file. It must not be zero.
	Memory int64
	// MemoryTotal is what all of them may take in memory together; one client may have a quarter.
	MemoryTotal int64
	// Disk limits the file of one response. It must not be less than Memory.
	Disk int64
	// Responses limits the files of all responses together; one client may have a quarter.
	Responses int64
	// Bodies limits the files of all request bodies together; one client may have a quarter, or LargestBody.
	Bodies int64
	// LargestBody is the largest body that a client may send. Zero: a quarter of Bodies must do.
	LargestBody int64
}

// Spools are the bodies and responses on their way, with what they have together.
type Spools struct {
	cfg       Config
	Memory    Budget // of bodies, responses and parameters
	Responses Budget // files of responses
	Bodies    Budget // files of bodies

	// Of all bytes that were ever written to files; nil: not counted.
	CountRequests, CountResponses prometheus.Counter
}

// New makes the budgets.
func New(cfg Config) *Spools {
	return &Spools{
		cfg: cfg, Memory: NewBudget(cfg.MemoryTotal, 2*cfg.Memory), Responses: NewBudget(cfg.Responses, 0),
		Bodies: NewBudget(cfg.Bodies, cfg.LargestBody),
	}
}
