package server

import (
	"slices"

	"github.com/phpserve/phpserve/fastcgi"
	"github.com/phpserve/phpserve/server/spool"
)

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

// mayGather says whether there may be one more record in y.raw. Where there is no room, the response streams.
func (y *relay) mayGather() bool {
	if len(y.raw) < freeOf(y.r.ProtoMajor) {
		return true
	}
	if len(y.raw) >= gatherLimit {
		return false
	}
	more := 2*int64(len(y.raw)+fastcgi.MaxContent) - y.rawTaken // with what append takes ahead
	if more <= 0 {
		return true
	}
	if !y.s.spools.Memory.Take(y.x.key, more) {
		return false
	}
	y.rawTaken += more
	return true
}

// hasRoom says whether a response that is complete may wait for its client in y.raw. Where it may not, it goes to the disk.
func (y *relay) hasRoom() bool {
	free := freeOf(y.r.ProtoMajor)
	if y.rawTaken > 0 || cap(y.raw) <= free {
		return true
	}
	if n := int64(cap(y.raw)); y.s.spools.Memory.Take(y.x.key, n) {
		y.rawTaken = n
		return true
	}
	if len(y.raw) > free {
		return false
	}
	y.raw = slices.Clone(y.raw) // what is held is what is free
	return true
}

// keepOnly gives back what was taken beyond n bytes.
func (y *relay) keepOnly(n int) {
	if more := y.rawTaken - int64(n); more > 0 {
		y.s.spools.Memory.Give(y.x.key, more)
		y.rawTaken = int64(n)
	}
}
