package phpstack

import (
	"fmt"
	"slices"
	"time"
)

// rawFrame is a zend_execute_data as it was copied.
type rawFrame struct {
	address  uint64
	opline   uint64
	function uint64
	this     uint64
	typeInfo uint32
	numArgs  uint32
	previous uint64
}

const (
	pageSize = 4096
	// pagesBelow are read beneath each page that is needed: the stack grows upwards, so callers are there.
	pagesBelow = 3
	// chunkSize is ZEND_MM_CHUNK_SIZE: stacks lie in chunks of this size and alignment, so beneath one nothing need be mapped.
	chunkSize = 2 << 20
	// maxPages bounds the copy of one stack: 2 MB, and what one call of copy can take twice.
	maxPages = 500
	// snapshotTries is how often a chain that was not at rest is copied again; one takes some microseconds.
	snapshotTries = 200
)

// snapshot is a copy of the pages that hold the chain of frames.
type snapshot struct {
	memory memory
	head   uint64 // the address of current_execute_data
	pages  []uint64
	known  map[uint64][]byte
	bad    map[uint64]bool // pages that cannot be read
	buffer []byte          // what known and the other copy are in
}

// takeSnapshot returns up to depth frames, innermost first, and whether there were more. None is a process that runs no script.
//
// That current_execute_data is the same before and after is not enough: where a script calls small functions in a loop, it comes back
// to the same address within nanoseconds, with another function there; and this process may lose its processor in the midst of
// copying. So everything is copied twice, and both copies must show the same calls.
func takeSnapshot(m memory, head uint64, depth int, until time.Time, last *recall) (frames []rawFrame, more bool, err error) {
	s := &snapshot{memory: m, head: head, known: map[uint64][]byte{}, bad: map[uint64]bool{}}
	if last != nil {
		s.pages, s.buffer = slices.Clone(last.pages), last.buffer
		defer func() { last.buffer = s.buffer }()
	}
	for try := 0; try < snapshotTries; {
		heads, again, err := s.copy()
		if err != nil {
			return nil, false, err
		}
		if heads == [3]uint64{} {
			return nil, false, nil
		}
		frames, more, missing, err := s.chain(heads[2], depth)
		switch {
		case missing != 0 && s.add(missing): // it must all be in one copy, so copy again with that page
		case missing != 0:
			try += snapshotTries / 20 // pointers into nowhere: rarely a moment's matter
			clear(s.bad)
			s.pages = s.pages[:0]
		case err == nil && heads[0] == heads[1] && heads[1] == heads[2] && s.same(frames, again):
			if last != nil {
				last.pages = pagesOf(frames)
			}
			return frames, more, nil
		default:
			try++
		}
		if time.Now().After(until) {
			break
		}
	}
	return nil, false, errTorn
}

// pagesOf are the pages that the frames are on.
func pagesOf(frames []rawFrame) (pages []uint64) {
	for _, f := range frames {
		for _, address := range [...]uint64{f.address, f.address + exSize - 1} {
			if p := address &^ (pageSize - 1); !slices.Contains(pages, p) {
				pages = append(pages, p)
			}
		}
	}
	return pages
}

// copy takes the pages twice, between looks at current_execute_data. Known is the later one.
func (s *snapshot) copy() (heads [3]uint64, again map[uint64][]byte, err error) {
	for {
		need := 3*8 + 2*len(s.pages)*pageSize
		if cap(s.buffer) < need {
			s.buffer = make([]byte, need)
		}
		buffer := s.buffer[:need]
		pieces := make([]piece, 0, 2*len(s.pages)+3)
		next := func(address uint64, size int) {
			pieces = append(pieces, piece{address, buffer[:size:size]})
			buffer = buffer[size:]
		}
		next(s.head, 8)
		for range 2 {
			for _, p := range s.pages {
				next(p, pageSize)
			}
			next(s.head, 8)
		}
		n, err := s.memory.copy(pieces)
		round := len(s.pages) + 1
		switch {
		case err != nil:
			return heads, nil, err
		case n < len(pieces) && n%round == 0:
			return heads, nil, fmt.Errorf("executor_globals is not at %#x", s.head)
		case n < len(pieces):
			page := n%round - 1
			s.bad[s.pages[page]] = true
			s.pages = append(s.pages[:page], s.pages[page+1:]...)
			continue
		}
		clear(s.known)
		again = make(map[uint64][]byte, len(s.pages))
		for i, p := range s.pages {
			again[p] = pieces[1+i].data
			s.known[p] = pieces[1+round+i].data
		}
		for i := range heads {
			heads[i] = u64(pieces[i*round].data, 0)
		}
		return heads, again, nil
	}
}

// same says whether the other copy shows the same calls. The innermost function may have gone on.
func (s *snapshot) same(frames []rawFrame, other map[uint64][]byte) bool {
	o := &snapshot{known: other}
	for i, f := range frames {
		var b [exSize]byte
		if o.bytes(f.address, b[:]) != 0 {
			return false
		}
		g := parseFrame(f.address, b[:])
		if i == 0 {
			g.opline = f.opline
		}
		if f != g {
			return false
		}
	}
	return true
}

// parseFrame takes a zend_execute_data apart.
func parseFrame(address uint64, b []byte) rawFrame {
	return rawFrame{
		address: address, opline: u64(b, exOpline), function: u64(b, exFunc), this: u64(b, exThis),
		typeInfo: u32(b, exTypeInfo), numArgs: u32(b, exNumArgs), previous: u64(b, exPrev),
	}
}

// add plans to copy the page of an address, too, and those beneath it. It is false when that cannot be.
func (s *snapshot) add(address uint64) bool {
	page := address &^ (pageSize - 1)
	if s.bad[page] {
		return false
	}
	for i := uint64(0); i <= pagesBelow; i++ {
		p := page - i*pageSize
		if _, ok := s.known[p]; !ok && !s.bad[p] {
			if len(s.pages) == maxPages {
				return i > 0
			}
			s.pages = append(s.pages, p)
			s.known[p] = nil
		}
		if p%chunkSize == 0 {
			break
		}
	}
	return true
}

// chain follows prev_execute_data in the copy. Missing is an address that the copy lacks.
func (s *snapshot) chain(address uint64, depth int) (frames []rawFrame, more bool, missing uint64, err error) {
	seen := map[uint64]bool{}
	for address != 0 {
		if len(frames) == depth {
			return frames, true, 0, nil
		}
		if !pointer(address) || seen[address] {
			return nil, false, 0, errTorn
		}
		seen[address] = true
		var b [exSize]byte
		if missing := s.bytes(address, b[:]); missing != 0 {
			return nil, false, missing, nil
		}
		f := parseFrame(address, b[:])
		frames = append(frames, f)
		address = f.previous
	}
	return frames, false, 0, nil
}

// bytes copies out of the copy. It returns an address that is not in it, or 0.
func (s *snapshot) bytes(address uint64, b []byte) (missing uint64) {
	for len(b) > 0 {
		page := address &^ (pageSize - 1)
		data := s.known[page]
		if data == nil {
			return address
		}
		n := copy(b, data[address-page:])
		b, address = b[n:], address+uint64(n)
	}
	return 0
}
