package server

import (
	"sync"
	"time"
)

const (
	// scriptCacheTime is how long a script that was there a moment ago is taken to be there still. PHP itself looks when it
	// opens the file, and opcache asks for changes no more often (opcache.revalidate_freq).
	scriptCacheTime = 2 * time.Second

	// scriptCacheSize bounds the paths that are remembered.
	scriptCacheSize = 4096
)

// scriptCache remembers scripts that PHP's user can read: to ask the kernel as another user takes many calls.
type scriptCache struct {
	mu   sync.Mutex
	seen map[string]time.Time
}

// has says whether path was a readable script within scriptCacheTime.
func (c *scriptCache) has(path string) bool {
	if c == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	at, ok := c.seen[path]
	return ok && time.Since(at) < scriptCacheTime
}

// add remembers that path is a readable script.
func (c *scriptCache) add(path string) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.seen) >= scriptCacheSize || c.seen == nil {
		c.seen = map[string]time.Time{} // what is used is soon back
	}
	c.seen[path] = time.Now()
}
