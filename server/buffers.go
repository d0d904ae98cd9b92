package server

import "sync"

// maxPooledBuffer is the largest buffer worth keeping for another request.
const maxPooledBuffer = 256 << 10

// newBufferPool keeps byte buffers between requests.
func newBufferPool(size int) *sync.Pool {
	return &sync.Pool{New: func() any {
		b := make([]byte, 0, size)
		return &b
	}}
}
