package manager

// Ready says whether the pool can serve: it has workers, or nothing has kept it from making one. One with ondemand may have none.
func (p *Pool) Ready() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	workers := p.count[StateIdle] + p.count[StateBusy] + p.count[StateDetached]
	return p.opened && !p.closed && (workers > 0 || p.failures == 0)
}
