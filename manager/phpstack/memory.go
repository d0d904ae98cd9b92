package phpstack

import (
	"encoding/binary"
	"errors"
)

// errTorn says that memory did not hold what it should: it changed while it was read. Reading again may help.
var errTorn = errors.New("its stack changed while it was read")

// piece is a range of a process's memory to be copied into data.
type piece struct {
	address uint64
	data    []byte
}

// memory is that of another process.
type memory interface {
	// copy fills the pieces in order, as nearly at one time as can be, and returns how many it filled. It stops at the first
	// one that it cannot read; that is no error. An error means that the process cannot be read at all.
	copy(pieces []piece) (int, error)
}

// maxPieces is how many pieces one call of copy may have (IOV_MAX).
const maxPieces = 1024

// copyAll fills all pieces that can be read; the others lose their data.
func copyAll(m memory, pieces []piece) error {
	for len(pieces) > 0 {
		batch := pieces[:min(len(pieces), maxPieces)]
		n, err := m.copy(batch)
		if err != nil {
			return err
		}
		if n < len(batch) {
			batch[n].data = nil
			n++
		}
		pieces = pieces[n:]
	}
	return nil
}

func u32(b []byte, at uint64) uint32 { return binary.LittleEndian.Uint32(b[at:]) }
func u64(b []byte, at uint64) uint64 { return binary.LittleEndian.Uint64(b[at:]) }

// pointer says whether an address can be one of the engine's: aligned, in user space, not in the zero page.
func pointer(address uint64) bool {
	return address >= 4096 && address < 1<<56 && address%8 == 0
}
