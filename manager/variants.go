package manager

// Include has the pool speak also for others that are like it but for their php.ini settings, which variants returns: what they do
// is in its [Stats] and its [Status], and their workers are traced, profiled and recycled as its own.
func (p *Pool) Include(variants func() []*Pool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.variants = variants
}

// included are the pools that the pool speaks for besides. p.mu must not be held.
func (p *Pool) included() []*Pool {
	p.mu.Lock()
	variants := p.variants
	p.mu.Unlock()
	if variants == nil {
		return nil
	}
	return variants()
}

// Inherit takes over the counters of a pool that is no longer one of those that the pool speaks for, so that no counter goes back.
func (p *Pool) Inherit(v *Pool) {
	s := v.Stats()
	p.slowRequests.Add(v.slowRequests.Load())
	v.mu.Lock()
	peak := v.memoryPeak
	v.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.addCounters(&s)
	p.memoryPeak = max(p.memoryPeak, peak)
}

// addCounters adds what another pool has counted. Of the most that ever were at the same time it is known only that they were not
// fewer than in one pool.
func (s *Stats) addCounters(o *Stats) {
	s.QueueFull, s.QueueTimeouts = s.QueueFull+o.QueueFull, s.QueueTimeouts+o.QueueTimeouts
	s.Requests, s.Started, s.Ended = s.Requests+o.Requests, s.Started+o.Started, s.Ended+o.Ended
	s.MaxChildrenReached += o.MaxChildrenReached
	s.MaxActive, s.MaxWaiting = max(s.MaxActive, o.MaxActive), max(s.MaxWaiting, o.MaxWaiting)
	for why, n := range o.EndedBy {
		s.EndedBy[why] += n
	}
}

// add adds what another pool does and has counted.
func (s *Stats) add(o *Stats) {
	s.addCounters(o)
	s.Idle, s.Busy, s.Starting, s.Total, s.Waiting = s.Idle+o.Idle, s.Busy+o.Busy, s.Starting+o.Starting, s.Total+o.Total, s.Waiting+o.Waiting
	s.MaxActive, s.MaxWaiting = max(s.MaxActive, s.Busy), max(s.MaxWaiting, s.Waiting)
}

// add adds what another pool does.
func (s *Status) add(o *Status) {
	s.SlowRequests, s.MaxChildrenReached = s.SlowRequests+o.SlowRequests, s.MaxChildrenReached+o.MaxChildrenReached
	s.Idle, s.Active, s.ListenQueue = s.Idle+o.Idle, s.Active+o.Active, s.ListenQueue+o.ListenQueue
	s.MaxActive, s.MaxListenQueue = max(s.MaxActive, o.MaxActive, s.Active), max(s.MaxListenQueue, o.MaxListenQueue, s.ListenQueue)
	s.MemoryPeak = max(s.MemoryPeak, o.MemoryPeak)
	s.Processes = append(s.Processes, o.Processes...)
}
