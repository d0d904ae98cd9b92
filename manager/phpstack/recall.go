package phpstack

import "bytes"

// recallMost is how many functions of one process are remembered at most.
const recallMost = 20000

// recall remembers what was read of one process, so that looking at it again and again reads little: where its stack lies, and what its
// functions are called. A function holds its name, its file, its class and its instructions, so they are the same as long as the bytes of
// the zend_function, which are read each time, are. It is not safe for use by several goroutines.
type recall struct {
	pages     []uint64 // that the last stack was on
	functions map[uint64]*recalled
	buffer    []byte // for the next copy of it
}

// recalled is what is known of a function.
type recalled struct {
	data              []byte // of the zend_function
	name, class, file string
	ops               map[uint64]instruction // by address
	calls             map[callAt]bool
}

// callAt is an instruction that calls, and what it is to call.
type callAt struct {
	opline uint64
	callee string
}

func newRecall() *recall { return &recall{functions: map[uint64]*recalled{}} }

// find returns what is known of the function at an address with these bytes; nil if nothing is.
func (r *recall) find(address uint64, f *function) *recalled {
	if r == nil || f == nil {
		return nil
	}
	known := r.functions[address]
	if known == nil || !bytes.Equal(known.data, f.data) {
		return nil
	}
	return known
}

// learn notes what a function is called.
func (r *recall) learn(address uint64, f *function, name, class, file string) {
	if r == nil {
		return
	}
	if len(r.functions) >= recallMost {
		clear(r.functions)
	}
	r.functions[address] = &recalled{
		data: f.data, name: name, class: class, file: file, ops: map[uint64]instruction{}, calls: map[callAt]bool{},
	}
}
