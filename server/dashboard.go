package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/phpserve/phpserve/linelog"
	"github.com/phpserve/phpserve/manager"
	"github.com/phpserve/phpserve/manager/phpstack"
	"github.com/phpserve/phpserve/web"
)

// dashboardPolicy is the Content-Security-Policy of the dashboard: nothing but its own files, and frames for its flame graphs.
const dashboardPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; frame-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// streamWriteTimeout is how long a dashboard may take to accept a message.
const streamWriteTimeout = 10 * time.Second

// dashboardHandlers says what the dashboard asks for.
func (s *Server) dashboardHandlers(mux *http.ServeMux) {
	files := web.Dashboard()
	for name := range files {
		path := "/" + name
		if name == "index.html" {
			path = "/{$}"
		}
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Security-Policy", dashboardPolicy)
			w.Header().Set("Content-Type", files[name].Type)
			_, _ = w.Write(files[name].Content) // who has left needs no answer
		})
	}
	mux.HandleFunc("GET /api/events", s.streamWatch)
	mux.HandleFunc("GET /api/stack", s.answerStack)
	mux.HandleFunc("GET /api/config", func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, s.inForce()) })
	mux.HandleFunc("POST /api/profiles", s.profiles.take)
	mux.HandleFunc("GET /api/profiles/{file}", s.profiles.answer)
}

// streamWatch sends what the watch sees, as server-sent events (HTML, section 9.2).
func (s *Server) streamWatch(w http.ResponseWriter, r *http.Request) {
	first, messages, err := s.watch.listen()
	if err != nil {
		refuse(w, http.StatusServiceUnavailable, err)
		return
	}
	defer s.watch.leave(messages)
	w.Header().Set("Content-Type", "text/event-stream")
	control := http.NewResponseController(w)
	// The deadline of the request would end the stream, in which nothing is read any more.
	_ = control.SetReadDeadline(time.Time{}) // the connection supports it
	send := func(event string, data []byte) bool {
		_ = control.SetWriteDeadline(time.Now().Add(streamWriteTimeout)) // as above
		_, err := fmt.Fprintf(w, "event: %s\ndata: %s\n\n", event, data)
		return err == nil && control.Flush() == nil
	}
	hello, err := json.Marshal(struct {
		Software string `json:"software"`
	}{softwarePHP + s.version})
	if err != nil || !send("hello", hello) || !send("first", first) {
		return
	}
	for {
		select {
		case <-r.Context().Done():
			return
		case text, open := <-messages:
			if !open || !send("look", text) {
				return
			}
		}
	}
}

// answerStack tells what PHP code a worker runs at this moment.
func (s *Server) answerStack(w http.ResponseWriter, r *http.Request) {
	pid, err := strconv.Atoi(r.FormValue("pid"))
	if err != nil || pid <= 0 {
		refuse(w, http.StatusBadRequest, errors.New("pid must be that of a worker"))
		return
	}
	for _, p := range s.Pools() {
		stacks, err := p.Trace(pid, false)
		switch {
		case errors.Is(err, manager.ErrNoWorker):
			continue
		case err != nil:
			refuse(w, http.StatusInternalServerError, err)
			return
		case len(stacks) == 0:
			continue
		}
		answerJSON(w, newSlowEntry(&phpstack.Slow{
			Time: time.Now(), Pool: p.Config().Name, Stack: withPID(stacks[0].Stack, pid), Err: stacks[0].Err, Running: stacks[0].Duration,
			Method: stacks[0].Request.Method, URI: stacks[0].Request.URI, Client: stacks[0].Request.Client, RequestID: stacks[0].Request.ID,
		}))
		return
	}
	refuse(w, http.StatusNotFound, fmt.Errorf("there is no worker %d any more", pid))
}

// withPID is a stack with the pid that it lacks when nothing could be read.
func withPID(s phpstack.Stack, pid int) phpstack.Stack {
	s.PID = pid
	return s
}

// answerJSON answers with a value.
func answerJSON(w http.ResponseWriter, value any) {
	text, err := linelog.MarshalVisible(value)
	if err != nil {
		refuse(w, http.StatusInternalServerError, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(text, '\n')) // who has left needs no answer
}

// refuse answers with why not.
func refuse(w http.ResponseWriter, status int, why error) {
	adminText(w, status, strings.TrimSpace(why.Error()))
}
