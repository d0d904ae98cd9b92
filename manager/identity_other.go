//go:build !linux

package manager

// Identity is the user that a pool's PHP runs as. Only Linux lets one thread open files as another user: here files are
// opened as phpserve.
type Identity struct{}

// Identity returns nil: files are opened as phpserve.
func (*PoolConfig) Identity() (*Identity, error) { return nil, nil }

// Do calls open.
func (*Identity) Do(open func()) { open() }
