//go:build !linux

package manager

import "runtime"

// orphans are the processes that scripts started and whose parents have ended. Only Linux has phpserve inherit them.
type orphans struct{}

func newOrphans(*credential) (*orphans, error) { return &orphans{}, nil }
func (*orphans) adopt(int)                     {}
func (*orphans) forget(int)                    {}
func (*orphans) has(int) bool                  { return false }
func (*orphans) count() uint64                 { return 0 }
func (*orphans) freeDead(int)                  {}
func (*orphans) bury()                         {}
func (*orphans) end()                          {}
func (*orphans) close()                        {}

// heirs are the processes that a worker's scripts have started. Only Linux tells of them.
type heirs struct{}

func openHeirs(int) (*heirs, error) { return nil, nil }
func (*heirs) any() bool            { return false }
func (*heirs) close()               {}

// EndDescendants does nothing here.
func EndDescendants() {}

// offMainThread runs f locked to a thread, which ends with it.
func offMainThread(f func()) {
	runtime.LockOSThread()
	f()
}
