package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/phpserve/phpserve/manager"
	"github.com/phpserve/phpserve/manager/phpstack"
)

const (
	// profilesKept is how many profiles of the dashboard are kept to be looked at.
	profilesKept = 5
	// profileMost is the longest, and profileRate how many samples a second it has.
	profileMost = time.Minute
	profileRate = 99
)

// errProfiling is a second profile beside one that is being taken.
var errProfiling = errors.New("a profile is being taken already")

// profiles are those that the dashboard took, the newest last.
type profiles struct {
	s *Server

	mu     sync.Mutex
	taking bool
	last   int
	all    []takenProfile
}

// takenProfile is a profile by its number.
type takenProfile struct {
	id      int
	title   string
	profile *phpstack.Profile
}

// take answers POST /api/profiles with the number of a new profile, when it is taken.
func (p *profiles) take(w http.ResponseWriter, r *http.Request) {
	seconds, err := strconv.Atoi(r.FormValue("seconds"))
	if most := int(profileMost / time.Second); err != nil || seconds < 1 || seconds > most {
		refuse(w, http.StatusBadRequest, fmt.Errorf("a profile takes from 1 to %d seconds", most))
		return
	}
	var pools []*manager.Pool
	for _, pool := range p.s.Pools() {
		if name := r.FormValue("pool"); name == "" || name == pool.Config().Name {
			pools = append(pools, pool)
		}
	}
	if len(pools) == 0 {
		refuse(w, http.StatusNotFound, errors.New("there is no such pool"))
		return
	}
	if !p.begin() {
		refuse(w, http.StatusConflict, errProfiling)
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(2 * profileMost)) // the connection supports it
	ctx, cancel := context.WithTimeout(r.Context(), time.Duration(seconds)*time.Second)
	defer cancel()
	profile, err := manager.RecordProfile(ctx, pools, phpstack.Sampling{Rate: profileRate, OnCPU: r.FormValue("cpu") != ""})
	title := "PHP of " + pools[0].Config().Name
	if len(pools) > 1 {
		title = "PHP of all pools"
	}
	id := p.end(title, profile, err == nil && r.Context().Err() == nil)
	if err != nil {
		refuse(w, http.StatusInternalServerError, err)
		return
	}
	answerJSON(w, struct {
		ID      int `json:"id"`
		Samples int `json:"samples"`
		Idle    int `json:"idle"`
		Waiting int `json:"waiting"`
		Missed  int `json:"missed"`
	}{id, profile.Samples, profile.Idle, profile.Waiting, profile.Missed})
}

func (p *profiles) begin() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taking {
		return false
	}
	p.taking = true
	return true
}

func (p *profiles) end(title string, profile *phpstack.Profile, keep bool) (id int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taking = false
	if !keep {
		return 0
	}
	p.last++
	p.all = append(p.all, takenProfile{p.last, title, profile})
	p.all = p.all[max(0, len(p.all)-profilesKept):]
	return p.last
}

// answer answers GET /api/profiles/ID.FORM.
func (p *profiles) answer(w http.ResponseWriter, r *http.Request) {
	form := path.Ext(r.PathValue("file"))
	id, _ := strconv.Atoi(strings.TrimSuffix(r.PathValue("file"), form)) // what is no number is no profile
	var found takenProfile
	p.mu.Lock()
	for _, one := range p.all {
		if one.id == id {
			found = one
		}
	}
	p.mu.Unlock()
	if found.profile == nil {
		refuse(w, http.StatusNotFound, errors.New("this profile is not kept any more: take another"))
		return
	}
	var (
		body bytes.Buffer
		kind string
		err  error
	)
	switch form {
	case ".svg":
		// It is shown in a frame of the dashboard, has no script, and styles itself.
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'")
		kind, err = "image/svg+xml", found.profile.WriteFlameGraph(&body, found.title)
	case ".pprof":
		kind, err = "application/octet-stream", found.profile.WritePprof(&body)
	case ".folded":
		kind, err = "text/plain; charset=utf-8", found.profile.WriteFolded(&body)
	default:
		refuse(w, http.StatusNotFound, errors.New("a profile is .svg, .pprof or .folded"))
		return
	}
	if err != nil {
		refuse(w, http.StatusInternalServerError, err)
		return
	}
	w.Header().Set("Content-Type", kind)
	_, _ = w.Write(body.Bytes()) // who has left needs no answer
}
