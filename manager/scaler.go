package manager

import "time"

// counts is what the scaler decides on.
type counts struct {
	total    int           // processes that are starting, idle, busy or detached
	starting int           // of these, not yet able to serve
	idle     int           // of these, ready
	waiting  int           // requests in the queue
	idleFor  time.Duration // how long the longest-idle worker has been idle
}

// decision is what the scaler wants: workers to start, idle workers to end.
type decision struct{ start, stop int }

// scale decides for one pool. It is demand-driven: every waiting request that no starting worker will take gets a worker
// at once, as far as pm.max_children allows, in every mode. php-fpm waits for its one-second tick (dynamic) or forks one
// worker per wake-up (ondemand).
func scale(c *PoolConfig, n counts) decision {
	room := c.MaxChildren - n.total
	want := n.waiting - n.starting
	switch c.PM {
	case PMStatic:
		want = room
	case PMDynamic:
		if n.waiting == 0 {
			want = c.MinSpareServers - n.idle - n.starting
		}
	}
	if want > 0 && room > 0 {
		return decision{start: min(want, room)}
	}
	if n.waiting > 0 {
		return decision{}
	}
	switch c.PM {
	case PMDynamic:
		if n.idle > c.MaxSpareServers {
			return decision{stop: n.idle - c.MaxSpareServers}
		}
	case PMOndemand:
		if n.idle > 0 && n.idleFor >= c.ProcessIdleTimeout {
			return decision{stop: 1}
		}
	}
	return decision{}
}
