package metrics

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/phpserve/phpserve/fastcgi"
	"github.com/phpserve/phpserve/manager"
	"github.com/phpserve/phpserve/server/boot"
)

const (
	// OpcacheFresh is how old an answer may be.
	OpcacheFresh = 10 * time.Second
	// opcacheTimeout is how long a worker that has nothing to do may take to tell, and opcacheRound how long all of them that are asked
	// for metrics; the others' last answers stand then.
	opcacheTimeout = 2 * time.Second
	opcacheRound   = 4 * time.Second
)

// Opcache is how much of a pool's opcache is used. Only PHP can tell it.
type Opcache struct {
	Asked   time.Time `json:"asked,omitzero"` // zero: not yet, for no worker was idle
	Problem string    `json:"problem,omitempty"`
	Full    bool      `json:"full"`

	Used   uint64 `json:"used"` // bytes
	Free   uint64 `json:"free"`
	Wasted uint64 `json:"wasted"` // by scripts that have changed

	StringsUsed uint64 `json:"stringsUsed"` // bytes of the buffer for interned strings
	StringsSize uint64 `json:"stringsSize"`

	Scripts    uint64 `json:"scripts"`
	Keys       uint64 `json:"keys"`
	MaxKeys    uint64 `json:"maxKeys"`
	Hits       uint64 `json:"hits"`
	Misses     uint64 `json:"misses"`
	OOMResets  uint64 `json:"oomRestarts"` // because there was no memory left
	HashResets uint64 `json:"hashRestarts"`
	Resets     uint64 `json:"manualRestarts"`
	JITUsed    uint64 `json:"jitUsed"` // bytes
	JITSize    uint64 `json:"jitSize"`
}

// Opcaches remembers what the pools said of their opcaches.
type Opcaches struct {
	asking sync.Mutex // one is asked at a time
	last   sync.Map   // Opcache by the pool's name
}

// Last is what a pool said last; the zero state if nothing.
func (o *Opcaches) Last(pool string) Opcache {
	state, _ := o.last.Load(pool)
	known, _ := state.(Opcache)
	return known
}

// Forget drops what a pool said, because the pool is gone.
func (o *Opcaches) Forget(pool string) { o.last.Delete(pool) }

// Renew asks the pools whose last answer is too old and that have an idle worker, until ctx ends.
func (o *Opcaches) Renew(ctx context.Context, pools []*manager.Pool, fresh time.Duration) {
	o.asking.Lock()
	defer o.asking.Unlock()
	for _, p := range pools {
		name := p.Config().Name
		if ctx.Err() != nil || time.Since(o.Last(name).Asked) < fresh {
			continue
		}
		if state, ok := AskOpcache(ctx, p); ok {
			o.last.Store(name, state)
		}
	}
}

// AskOpcache has an idle worker tell of opcache. With the spawn engine each worker has an opcache of its own, and the answer is one
// worker's.
func AskOpcache(ctx context.Context, p *manager.Pool) (Opcache, bool) {
	worker := p.AcquireIdle()
	if worker == nil {
		return Opcache{}, false
	}
	conn := worker.Conn().(*fastcgi.Conn)
	stop := time.AfterFunc(opcacheTimeout, conn.HangUp)
	defer stop.Stop()
	defer context.AfterFunc(ctx, conn.HangUp)()
	output, err := boot.Exchange(conn, p.WorkerScript(), map[string]string{"PHPSERVE_OPCACHE": "1"})
	if err != nil || !conn.Reusable() {
		worker.Release(manager.Broken)
		return Opcache{}, false
	}
	worker.Release(manager.Asked)
	state := ParseOpcache(output)
	if enable := p.INI("opcache.enable"); enable != "" && !manager.INIBool(enable) { // in the script it is off anyway
		state.Problem = "opcache.enable is off"
	}
	return state, true
}

// ParseOpcache reads what runtime/worker.php says.
func ParseOpcache(text string) Opcache {
	s := Opcache{Asked: time.Now()}
	number := map[string]*uint64{
		"memory_usage.used_memory": &s.Used, "memory_usage.free_memory": &s.Free, "memory_usage.wasted_memory": &s.Wasted,
		"interned_strings_usage.used_memory": &s.StringsUsed, "interned_strings_usage.buffer_size": &s.StringsSize,
		"opcache_statistics.num_cached_scripts": &s.Scripts, "opcache_statistics.num_cached_keys": &s.Keys,
		"opcache_statistics.max_cached_keys": &s.MaxKeys, "opcache_statistics.hits": &s.Hits, "opcache_statistics.misses": &s.Misses,
		"opcache_statistics.oom_restarts": &s.OOMResets, "opcache_statistics.hash_restarts": &s.HashResets,
		"opcache_statistics.manual_restarts": &s.Resets, "jit.buffer_size": &s.JITSize,
	}
	var jitFree uint64
	number["jit.buffer_free"] = &jitFree
	flag := map[string]*bool{"full": &s.Full}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), "=")
		switch {
		case number[name] != nil:
			*number[name], _ = strconv.ParseUint(value, 10, 64) // what is no number counts as nothing
		case flag[name] != nil:
			*flag[name] = value == "1"
		case name == "missing":
			s.Problem = "opcache is not loaded, or opcache_get_status() is disabled"
		case name == "refused":
			s.Problem = "opcache could not start, or opcache.restrict_api keeps its status from phpserve"
		}
	}
	s.JITUsed = s.JITSize - min(jitFree, s.JITSize)
	return s
}
