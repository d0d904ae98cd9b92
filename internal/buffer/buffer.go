// Package buffer keeps the buffers of one request for another.
package buffer

import "sync"

// MaxPooled is the largest buffer worth keeping for another request.
const MaxPooled = 256 << 10

// NewPool keeps byte buffers between requests.
func NewPool(size int) *sync.Pool {
	return &sync.Pool{New: func() any {
		b := make([]byte, 0, size)
		return &b
	}}
}
