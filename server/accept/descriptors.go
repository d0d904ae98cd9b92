package accept

import (
	"fmt"
	"os"
)

// What descriptors are needed for, besides connections.
const (
	// workerDescriptors is what one worker takes: its connection, the listening socket that it greets at, its process and what it
	// writes.
	workerDescriptors = 4
	// spareDescriptors is kept for what must always get through: the admin address, the control socket, logs that are opened anew,
	// looking at processes, and starting others.
	spareDescriptors = 32
	// leastConnections is how many there may be in any case, unless another number is asked for.
	leastConnections = 8
)

// MaxConnections is how many connections may be open: asked, or with 0 as many as the limit on open files has room for. Each may have
// a file of its own, static or of a spool. listeners each have one more connection in hand, and workers is how many there may be, of
// which no more are counted than half of what there is: with many pools, they never all run. Where the system has no such limit it is what was
// asked for, 0 being none. To ask for more than there is room for is an error, which names the limit and how to raise it.
func MaxConnections(asked, listeners, workers int) (int, error) {
	limit := OpenFilesLimit()
	if limit == 0 {
		return asked, nil // the system has none
	}
	free := limit - openFiles() - listeners - spare(limit)
	free -= min(workers*workerDescriptors, free/2)
	if asked == 0 {
		return max(free/2, leastConnections), nil
	}
	if asked > free {
		return 0, fmt.Errorf("max_connections: there can be at most %d connections with a limit of %d open files; "+
			"raise it (ulimit -n, or LimitNOFILE= in a systemd unit) or lower max_connections", max(free, 0), limit)
	}
	return asked, nil
}

// spare is how many descriptors are kept.
func spare(limit int) int { return min(spareDescriptors, limit/4) }

// AdminConnections is how many connections the admin address may have: half of what is spared.
func AdminConnections() int {
	limit := OpenFilesLimit()
	if limit == 0 {
		limit = 4 * spareDescriptors
	}
	return max(1, spare(limit)/2)
}

// openFiles is how many descriptors are open, as far as the system says.
func openFiles() int {
	const guess = 24
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		return guess
	}
	return len(entries)
}
