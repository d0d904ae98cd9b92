package server

import "github.com/phpserve/phpserve/server/spool"

// A client may let a complete response wait as long as it likes, and so what is in relay.raw counts as any other response: what goes
// beyond a small piece is taken from the budget of memory that all bodies and responses share.

// freeStream is what a response may have besides the budget on a connection of HTTP/2, in bytes, which carries a hundred of them.
const freeStream = 4 << 10

// freeOf is what a response may have besides the budget.
func freeOf(protoMajor int) int {
	if protoMajor > 1 {
		return freeStream
	}
	return spool.FreeMemory
}

// mayGather says whether there may be more in y.raw. Where there is no room, the response streams.
func (y *relay) mayGather() bool {
	const most = 2 * gatherLimit // with what append takes ahead
	if len(y.raw) < freeOf(y.r.ProtoMajor) {
		return true
	}
	if y.rawTaken == 0 && y.s.spools.Memory.Take(y.x.key, most) {
		y.rawTaken = most
	}
	return y.rawTaken > 0 && len(y.raw) < gatherLimit
}

// awaitRoom has a response that is complete wait for its place in the budget, and with it the worker.
func (y *relay) awaitRoom() {
	free := freeOf(y.r.ProtoMajor)
	if y.rawTaken > 0 || len(y.raw) <= free {
		return
	}
	if y.timer != nil {
		y.timer.Stop() // the script is done
	}
	for n := min(int64(cap(y.raw)), y.s.spools.Memory.Most()); ; {
		freed := y.s.spools.Memory.Wait() // before looking for room: nothing that is given back is missed
		if y.s.spools.Memory.Take(y.x.key, n) {
			y.rawTaken = n
			return
		}
		select {
		case <-freed:
		case <-y.r.Context().Done():
			return
		}
	}
}

// keepOnly gives back what was taken beyond n bytes.
func (y *relay) keepOnly(n int) {
	if more := y.rawTaken - int64(n); more > 0 {
		y.s.spools.Memory.Give(y.x.key, more)
		y.rawTaken = int64(n)
	}
}
