package manager

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
)

// heirs are the processes that a worker's scripts have started and that are still there at the end of a request. They may
// have inherited the worker's connection, on which the next request would come.
type heirs struct{ list *os.File }

// openHeirs opens the list of a worker's children, proc_tid_children(5): to read it takes about a microsecond. A kernel without
// it gives none.
func openHeirs(pid int) (*heirs, error) {
	list, err := os.Open(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	switch {
	case err == nil:
		return &heirs{list}, nil
	case isGone(err) || errors.Is(err, os.ErrPermission):
		return nil, nil
	}
	return nil, fmt.Errorf("cannot look for what a worker's scripts start: %w", err)
}

// any says whether there are living children.
func (h *heirs) any() bool {
	if h == nil {
		return false
	}
	var text [256]byte
	n, _ := h.list.ReadAt(text[:], 0) // the end of the list, or of the worker
	for pid := range bytes.FieldsSeq(text[:n]) {
		child, err := strconv.Atoi(string(pid))
		if err != nil {
			continue
		}
		// A dead one that its parent has not buried holds nothing.
		if fields, err := statOf(child); err == nil && fields[0] != "Z" && fields[0] != "X" {
			return true
		}
	}
	return n == len(text)
}

func (h *heirs) close() {
	if h != nil {
		h.list.Close()
	}
}
