package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/phpserve/phpserve/internal/ownership"
	"github.com/phpserve/phpserve/server"
)

// control is the socket on which "phpserve status", "reload", "reopen" and "stop" speak to a running phpserve: HTTP and JSON on
// a unix socket that only its user can open.
type control struct {
	http *http.Server
	path string
	done chan struct{}
}

// controlled is what a running phpserve can be asked.
type controlled struct {
	server *server.Server
	reload func(ctx context.Context, pool string) (reloadResult, error) // of all pools, or of one
	reopen func(context.Context) error
	stop   func()
	serves []string // for controlStatus
}

// controlStatus answers GET /status.
type controlStatus struct {
	PID     int           `json:"pid"`
	Version string        `json:"version"`
	Serves  []string      `json:"serves"` // URLs, or the configuration of php-fpm
	Folder  string        `json:"folder"` // in which it was started
	Pools   []controlPool `json:"pools"`
}

// controlPool is one pool of [controlStatus].
type controlPool struct {
	Name     string `json:"name"`
	PHP      string `json:"php"`
	Engine   string `json:"engine"`
	PM       string `json:"pm"`
	Idle     int    `json:"idle"`
	Busy     int    `json:"busy"`
	Total    int    `json:"total"`
	Most     int    `json:"max_children"`
	Waiting  int    `json:"waiting"`
	Requests uint64 `json:"requests"`
}

// controlChanges answers POST /reload.
type controlChanges struct {
	Added    []string `json:"added"`
	Replaced []string `json:"replaced"`
	Kept     []string `json:"kept"`
	Removed  []string `json:"removed"`
	Upgraded string   `json:"upgraded,omitempty"` // the version that phpserve has become
}

func changesOf(r reloadResult) controlChanges {
	return controlChanges{Added: r.Added, Replaced: r.Replaced, Kept: r.Kept, Removed: r.Removed, Upgraded: r.Upgraded}
}

// controlError is an answer that is none.
type controlError struct {
	Error string `json:"error"`
}

// controlDir is the folder of the sockets: root's in /run, others' in XDG_RUNTIME_DIR or a folder of their own beside others'.
func controlDir() string {
	if os.Geteuid() == 0 {
		return "/run/phpserve"
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" && usableRuntime(dir) {
		return filepath.Join(dir, "phpserve")
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("phpserve-%d", os.Getuid()))
}

// usableRuntime says whether XDG_RUNTIME_DIR is a folder that only this user can change, and short enough for the name of a socket.
func usableRuntime(dir string) bool { return runtimeProblem(dir) == "" }

// runtimeProblem says what keeps a control socket from being in XDG_RUNTIME_DIR; empty if nothing does.
func runtimeProblem(dir string) string {
	const longest = 70 // bytes: a socket's name has at most 107 (unix(7)), of which phpserve/control-PID.sock needs the rest
	info, err := os.Stat(dir)
	switch {
	case !filepath.IsAbs(dir):
		return "it is not an absolute path"
	case errors.Is(err, fs.ErrNotExist):
		return "there is no such folder"
	case err != nil:
		return errors.Unwrap(err).Error() // the path is told beside it
	case !info.IsDir():
		return "it is not a folder"
	case !ownedByMe(info):
		return "it is not this user's: " + ownership.Of(info)
	case info.Mode().Perm()&0o022 != 0:
		return "others can change it: " + ownership.Of(info)
	case info.Mode().Perm()&0o300 != 0o300:
		return "this user cannot write to it: " + ownership.Of(info)
	case len(dir) > longest:
		return fmt.Sprintf("its name has %d bytes, and a socket's leaves room for %d", len(dir), longest)
	}
	return ""
}

// openControlOr opens the socket. Who cannot have one goes without, with a warning: it is no reason not to serve.
func openControlOr(logger *slog.Logger, c controlled) *control {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); os.Geteuid() != 0 && dir != "" && !usableRuntime(dir) {
		logger.Warn("XDG_RUNTIME_DIR cannot be used", "folder", dir, "why", runtimeProblem(dir), "instead", controlDir())
	}
	s, err := openControl(c)
	if err != nil {
		logger.Warn("there is no control socket", "error", err)
	}
	return s
}

func openControl(c controlled) (*control, error) {
	dir := controlDir()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the folder of the control socket: %w", err)
	}
	if err := ownFolder(dir); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, fmt.Sprintf("control-%d.sock", os.Getpid()))
	removeLeft(dir)
	_ = os.Remove(path) // of a process that had this pid before
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("cannot open the control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("cannot open the control socket: %w", err)
	}
	s := &control{http: &http.Server{Handler: c.handler(), ReadHeaderTimeout: 10 * time.Second}, path: path, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		_ = s.http.Serve(l) // until close
	}()
	return s, nil
}

// removeLeft removes the sockets of processes that were killed.
func removeLeft(dir string) {
	found, err := filepath.Glob(filepath.Join(dir, "control-*.sock"))
	if err != nil {
		panic("internal error: " + err.Error()) // the pattern is ours
	}
	for _, file := range found {
		var pid int
		if n, err := fmt.Sscanf(filepath.Base(file), "control-%d.sock", &pid); err == nil && n == 1 && processGone(pid) {
			_ = os.Remove(file) // another may have been quicker
		}
	}
}

// ownFolder says why a folder is not one that only this user can change: another could put a socket of his own there.
func ownFolder(dir string) error {
	info, err := os.Lstat(dir)
	switch {
	case err != nil:
		return fmt.Errorf("cannot use the folder of the control socket: %w", err)
	case !info.IsDir() || info.Mode().Perm()&0o022 != 0 || !ownedByMe(info):
		return fmt.Errorf("cannot use %s for the control socket: it must be a folder that only this user can change", dir)
	}
	return nil
}

// controlPatience is how long answers that are under way when phpserve ends may take.
const controlPatience = time.Second

// close closes the socket; answers that take long are cut off.
func (s *control) close() {
	if s != nil {
		ctx, cancel := context.WithTimeout(context.Background(), controlPatience)
		defer cancel()
		_ = s.http.Shutdown(ctx)
		s.http.Close()
		<-s.done
	}
}

func (c controlled) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { answer(w, c.status()) })
	mux.HandleFunc("GET /page", c.page)
	mux.HandleFunc("GET /trace", c.trace)
	mux.HandleFunc("POST /profile", c.profile)
	mux.HandleFunc("POST /recycle", c.recycle)
	mux.HandleFunc("POST /reload", func(w http.ResponseWriter, r *http.Request) {
		result, err := c.reload(r.Context(), r.FormValue("pool"))
		if err != nil {
			refuse(w, err)
			return
		}
		answer(w, changesOf(result))
	})
	mux.HandleFunc("POST /reopen", func(w http.ResponseWriter, r *http.Request) {
		if err := c.reopen(r.Context()); err != nil {
			refuse(w, err)
			return
		}
		answer(w, struct{}{})
	})
	mux.HandleFunc("POST /stop", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, struct{}{})
		c.stop()
	})
	return mux
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // who does not wait for it does not get it
}

func refuse(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusConflict)
	_ = json.NewEncoder(w).Encode(controlError{err.Error()}) // as above
}

func (c controlled) status() controlStatus {
	status := controlStatus{PID: os.Getpid(), Version: versionText(), Serves: c.serves, Pools: []controlPool{}}
	status.Folder, _ = os.Getwd() // none where it is gone
	for _, p := range c.server.Pools() {
		cfg, stats := p.Config(), p.Stats()
		engine, _ := p.Engine()
		status.Pools = append(status.Pools, controlPool{
			Name: cfg.Name, PHP: p.PHP().Version, Engine: engine, PM: cfg.PM, Idle: stats.Idle, Busy: stats.Busy, Total: stats.Total,
			Most: cfg.MaxChildren, Waiting: stats.Waiting, Requests: stats.Requests,
		})
	}
	return status
}

// askControl sends a request to a running phpserve and decodes its answer.
func askControl(ctx context.Context, path, method, target string, into any) error {
	return askControlFor(ctx, path, method, target, nil, func(resp *http.Response) error {
		return json.NewDecoder(resp.Body).Decode(into)
	})
}

// askControlFor sends a request, with a body if there is one, to a running phpserve and has take read its answer.
func askControlFor(ctx context.Context, path, method, target string, body io.Reader, take func(*http.Response) error) error {
	path, err := findControl(ctx, path)
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}}
	defer client.CloseIdleConnections()
	r, err := http.NewRequestWithContext(ctx, method, "http://control"+target, body)
	if err != nil {
		panic("internal error: " + err.Error()) // the parts are ours
	}
	resp, err := client.Do(r)
	if err != nil {
		return fmt.Errorf("cannot reach phpserve on %s: %w", path, errors.Unwrap(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		return take(resp)
	}
	var refused controlError
	if err := json.NewDecoder(resp.Body).Decode(&refused); err != nil || refused.Error == "" {
		return fmt.Errorf("phpserve on %s answers %s", path, resp.Status)
	}
	return errors.New(refused.Error)
}
