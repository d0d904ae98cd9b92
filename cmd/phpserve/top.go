package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/spf13/cobra"
)

// topInterval is how often the screen is renewed.
const topInterval = time.Second

// newTopCommand is "phpserve top".
func newTopCommand(stdout io.Writer) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "top",
		Short: "watch the workers of a running phpserve",
		Long: "Watch the pools and workers of a running phpserve: what each runs, for how long, and what its last request took.\n\n" +
			"Keys: arrows choose a worker, t or Enter shows its PHP stack, k recycles it; s sorts by another column, / filters,\n" +
			"p pauses, q ends.",
		Example: "  phpserve top",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !isTerminal(stdout) {
				return &hintError{errors.New("phpserve top needs a terminal"), "phpserve status --full prints the same once"}
			}
			found, err := findControl(cmd.Context(), path)
			if err != nil {
				return err
			}
			_, err = tea.NewProgram(newTopModel(found), tea.WithContext(cmd.Context()), tea.WithOutput(stdout), tea.WithInput(os.Stdin)).Run()
			return err
		},
	}
	controlFlag(cmd, &path)
	return cmd
}

// topPool is a pool as its status page has it in JSON.
type topPool struct {
	Name      string      `json:"pool"`
	PM        string      `json:"process manager"`
	Accepted  uint64      `json:"accepted conn"`
	Waiting   int         `json:"listen queue"`
	Idle      int         `json:"idle processes"`
	Active    int         `json:"active processes"`
	Reached   uint64      `json:"max children reached"`
	Slow      uint64      `json:"slow requests"`
	Processes []topWorker `json:"processes"`
}

// topWorker is one of its workers.
type topWorker struct {
	Pool     string `json:"-"`
	PID      int    `json:"pid"`
	State    string `json:"state"`
	Requests uint64 `json:"requests"`
	Micros   int64  `json:"request duration"`
	Method   string `json:"request method"`
	URI      string `json:"request target"`
	Script   string `json:"script"`
	Client   string `json:"client"`
	Used     int64  `json:"processor time"` // microseconds since the start of the process
	Memory   uint64 `json:"memory"`

	CPU float64 `json:"-"` // percent of one processor, since the screen before
}

// topModel is the state of the screen.
type topModel struct {
	ask           func(ctx context.Context, method, target string) (string, error)
	width, height int
	pools         []topPool
	before        map[string]uint64 // accepted, by pool, a moment ago
	asked         time.Time         // when what is shown was asked for
	err           error
	paused        bool
	sort          int
	chosen        int // pid
	filter        string
	typing        bool // the filter
	confirm       int  // pid to recycle once y is pressed
	stack         string
	said          string
}

// The messages of the screen.
type (
	topTick  struct{}
	topData  []topPool
	topError struct{ err error }
	topStack string
	topSaid  string
)

// topSorts are the columns to sort by.
var topSorts = [...]struct {
	name string
	less func(a, b *topWorker) int
}{
	{"time", func(a, b *topWorker) int {
		return cmp.Or(cmp.Compare(b.running(), a.running()), cmp.Compare(a.PID, b.PID))
	}},
	{"requests", func(a, b *topWorker) int {
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), cmp.Compare(a.PID, b.PID))
	}},
	{"memory", func(a, b *topWorker) int { return cmp.Or(cmp.Compare(b.Memory, a.Memory), cmp.Compare(a.PID, b.PID)) }},
	{"cpu", func(a, b *topWorker) int { return cmp.Or(cmp.Compare(b.CPU, a.CPU), cmp.Compare(a.PID, b.PID)) }},
	{"pid", func(a, b *topWorker) int { return cmp.Compare(a.PID, b.PID) }},
}

// running is how long the request runs; of an idle worker nothing.
func (w *topWorker) running() int64 {
	if w.State == "Idle" {
		return -1
	}
	return w.Micros
}

// newTopModel is the screen of the phpserve with this control socket.
func newTopModel(socket string) *topModel {
	return &topModel{width: 80, height: 24, ask: func(ctx context.Context, method, target string) (string, error) {
		var text []byte
		err := askControlFor(ctx, socket, method, target, nil, func(resp *http.Response) (err error) {
			text, err = io.ReadAll(resp.Body)
			return err
		})
		return string(text), err
	}}
}

// Init implements tea.Model.
func (m *topModel) Init() tea.Cmd { return m.fetch }

// fetch asks for all pools.
func (m *topModel) fetch() tea.Msg {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	text, err := m.ask(ctx, http.MethodGet, "/page?format=json&full=1")
	if err != nil {
		return topError{err}
	}
	if !strings.HasPrefix(text, "[") { // there is one pool
		text = "[" + text + "]"
	}
	var pools []topPool
	if err := json.Unmarshal([]byte(text), &pools); err != nil {
		return topError{fmt.Errorf("cannot read the status: %w", err)}
	}
	return topData(pools)
}

// Update implements tea.Model.
func (m *topModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	again := tea.Tick(topInterval, func(time.Time) tea.Msg { return topTick{} })
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case topTick:
		if m.paused {
			return m, again
		}
		return m, m.fetch
	case topData:
		m.compare(msg, time.Now())
		m.pools, m.err = msg, nil
		return m, again
	case topError:
		m.err = msg.err
		return m, again
	case topStack:
		m.stack = string(msg)
	case topSaid:
		m.said = string(msg)
	case tea.KeyPressMsg:
		return m.key(msg.String(), msg.Text)
	case tea.PasteMsg:
		if m.typing { // elsewhere a pasted text would be taken for commands
			m.filter += msg.Content
		}
	}
	return m, nil
}

// compare notes what the pools and workers did since they were asked last.
func (m *topModel) compare(pools topData, now time.Time) {
	used := map[int]int64{}
	m.before = map[string]uint64{}
	for _, p := range m.pools {
		m.before[p.Name] = p.Accepted
		for _, w := range p.Processes {
			used[w.PID] = w.Used
		}
	}
	passed := now.Sub(m.asked)
	m.asked = now
	for _, p := range pools {
		for i := range p.Processes {
			w := &p.Processes[i]
			if before, known := used[w.PID]; known && w.Used > 0 && before <= w.Used {
				w.CPU = 100 * float64(w.Used-before) / float64(passed.Microseconds())
			}
		}
	}
}

// key acts on a key; text is what it writes, if anything.
func (m *topModel) key(key, text string) (tea.Model, tea.Cmd) {
	if key == "ctrl+c" {
		return m, tea.Quit
	}
	if m.typing {
		m.typed(key, text)
		return m, nil
	}
	pid := m.confirm
	m.confirm, m.said = 0, ""
	switch key {
	case "q":
		return m, tea.Quit
	case "esc":
		m.stack, m.filter = "", ""
	case "up", "down":
		m.move(key)
	case "s":
		m.sort = (m.sort + 1) % len(topSorts)
	case "p":
		m.paused = !m.paused
	case "/":
		m.typing, m.filter = true, ""
	case "t", "enter":
		return m, m.trace
	case "k":
		m.confirm = m.chosen
	case "y":
		if pid != 0 {
			return m, func() tea.Msg { return m.recycle(pid) }
		}
	}
	return m, nil
}

// typed takes a key of the filter.
func (m *topModel) typed(key, text string) {
	switch key {
	case "enter", "esc":
		m.typing = false
	case "backspace":
		if r := []rune(m.filter); len(r) > 0 {
			m.filter = string(r[:len(r)-1])
		}
	default:
		m.filter += text
	}
}

// move chooses the worker above or below.
func (m *topModel) move(key string) {
	workers := m.workers()
	at := slices.IndexFunc(workers, func(w topWorker) bool { return w.PID == m.chosen })
	if key == "down" {
		at++
	} else {
		at--
	}
	if at = min(max(at, 0), len(workers)-1); at >= 0 {
		m.chosen = workers[at].PID
	}
}

// trace asks for the chosen worker's stack.
func (m *topModel) trace() tea.Msg {
	if m.chosen == 0 {
		return topSaid("choose a worker with the arrows first")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	text, err := m.ask(ctx, http.MethodGet, "/trace?"+url.Values{"pid": {fmt.Sprint(m.chosen)}}.Encode())
	if err != nil {
		return topSaid(err.Error())
	}
	return topStack(strings.TrimSpace(text))
}

// recycle has a worker be ended.
func (m *topModel) recycle(pid int) tea.Msg {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if _, err := m.ask(ctx, http.MethodPost, fmt.Sprintf("/recycle?pid=%d", pid)); err != nil {
		return topSaid(err.Error())
	}
	return topSaid(fmt.Sprintf("worker %d is recycled", pid))
}

// workers are those that the filter admits, in their order.
func (m *topModel) workers() (all []topWorker) {
	want := strings.ToLower(m.filter)
	for _, p := range m.pools {
		for _, w := range p.Processes {
			w.Pool = p.Name
			if strings.Contains(strings.ToLower(w.Pool+" "+w.Method+" "+w.URI+" "+w.Script), want) {
				all = append(all, w)
			}
		}
	}
	slices.SortFunc(all, func(a, b topWorker) int { return topSorts[m.sort].less(&a, &b) })
	return all
}
