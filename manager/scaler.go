package manager

import "time"

// counts is what the scaler decides on.
type counts struct {
	total    int           // processes that are starting, idle, busy or detached
	starting int           // of these, not yet able to serve
	idle     int           // of these, ready
	waiting  int           // requests in the queue
	spare    int           // the fewest that were ready at any moment of the last spareWindow or two, see lowWater
	idleFor  time.Duration // how long the longest-idle worker has been idle
}

// spareWindow is how long workers must have been spare before they are ended. php-fpm looks once a second at how many are idle that
// moment (fpm_process_ctl.c:fpm_pctl_perform_idle_server_maintenance): under a steady load it ends workers that the next requests need.
const spareWindow = 10 * time.Second

// lowWater remembers the fewest idle workers that there were, for between one and two times spareWindow.
type lowWater struct {
	began             time.Time // of the current window
	current, previous int       // the fewest in it, and in the one before
}

// note takes in how many workers are idle now.
func (l *lowWater) note(idle int) { l.current = min(l.current, idle) }

// least is the fewest that there were.
func (l *lowWater) least(now time.Time, idle int) int {
	switch l.note(idle); {
	case l.began.IsZero():
		*l = lowWater{began: now, current: idle} // of the time before nothing is known
	case now.Sub(l.began) >= spareWindow:
		*l = lowWater{began: now, current: idle, previous: l.current}
	}
	return min(l.previous, l.current)
}

// ended takes note that some of the idle workers are ended.
func (l *lowWater) ended(n int) { l.current, l.previous = max(0, l.current-n), max(0, l.previous-n) }

// decision is what the scaler wants: workers to start, idle workers to end.
type decision struct{ start, stop int }

// scale decides for one pool. It is demand-driven: every waiting request that no starting worker will take gets a worker
// at once, as far as pm.max_children allows, in every mode. What it ends has been spare for some time. php-fpm waits for its one-second tick (dynamic) or forks one
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
		if n.spare > c.MaxSpareServers {
			return decision{stop: min(n.spare, n.idle) - c.MaxSpareServers}
		}
	case PMOndemand:
		if n.idle > 0 && n.idleFor >= c.ProcessIdleTimeout {
			return decision{stop: 1}
		}
	}
	return decision{}
}
