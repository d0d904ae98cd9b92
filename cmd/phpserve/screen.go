package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/phpserve/phpserve/linelog"
	"github.com/phpserve/phpserve/manager"
	"github.com/phpserve/phpserve/server"
)

// screenPatience is how long the start waits for a terminal, or another reader, that does not take the first screen.
const screenPatience = time.Second

// show writes the first screen. A reader that stalls does not hold the serving up: what is left is written when it reads again, before
// the access log, because the file is locked for a whole write.
func show(w io.Writer, screen []byte) {
	written := make(chan struct{})
	go func() { // a stalled write ends with the process at the latest
		defer close(written)
		_, _ = w.Write(screen) // who has gone needs no screen
	}()
	timeout := time.NewTimer(screenPatience)
	defer timeout.Stop()
	select {
	case <-written:
	case <-timeout.C:
	}
}

// screen is the first thing an operator sees; the URL is its last line.
func (p *plan) screen(s *server.Server, note string) []byte {
	w := new(bytes.Buffer)
	fmt.Fprintf(w, "phpserve %s\n\n", versionText())
	engines := make([]engine, len(p.pools))
	for i := range p.pools {
		engines[i].kind, engines[i].why = s.Pool(p.config.Pools[i].Name).Engine()
	}
	p.describe(w, engines)
	if url := s.AdminURL(); url != "" {
		row(w, "Dashboard", url)
	}
	if note != "" {
		row(w, "Note", note)
	}
	if !s.LoopbackOnly() {
		reach := "other machines can reach this"
		if p.config.ErrorPages == server.ErrorPagesAuto {
			reach += "; error pages tell nothing of the site"
		}
		row(w, "Note", reach)
	}
	fmt.Fprintln(w)
	for _, url := range s.URLs() {
		fmt.Fprintf(w, "  %s\n", url)
	}
	fmt.Fprintln(w)
	return w.Bytes()
}

// engine is how the workers of a pool are made, and why so.
type engine struct{ kind, why string }

// describe prints what is known before anything is started. engines are those of the pools.
func (p *plan) describe(w io.Writer, engines []engine) {
	site := p.config.Sites[0]
	several := len(p.pools) > 1 || len(p.config.Responders) > 0
	first := p.pools[0]
	onePHP := !slices.ContainsFunc(p.pools, func(pool plannedPool) bool { return pool.php.Path != first.php.Path })
	if onePHP {
		row(w, "PHP", fmt.Sprintf("%s, %s (%s)", first.php.Version, first.php.Path, first.phpWhy))
	}
	if !several {
		row(w, "Workers", p.workersText(0))
	}
	pool := func(name string) string {
		if several {
			return ", pool " + name
		}
		return ""
	}
	row(w, "Document root", fmt.Sprintf("%s (%s)%s", site.Root, p.rootWhy, pool(site.Pool)))
	front := site.FrontController
	if front == "" {
		front = "none"
	}
	row(w, "Front controller", front)
	for _, more := range p.config.Sites[1:] {
		row(w, "Site", fmt.Sprintf("%s, %s%s", strings.Join(more.Hosts, " "), more.Root, pool(more.Pool)))
	}
	if p.file != "" {
		row(w, "Configuration", p.file)
	}
	if !several {
		row(w, "Engine", fmt.Sprintf("%s (%s)", engines[0].kind, engines[0].why))
		return
	}
	for i, planned := range p.pools {
		name := p.config.Pools[i].Name
		text := fmt.Sprintf("%s: %s, %s", name, engines[i].kind, p.workersText(i))
		if !onePHP {
			text = fmt.Sprintf("%s: PHP %s, %s, %s, %s", name, planned.php.Version, planned.php.Path, engines[i].kind, p.workersText(i))
		}
		for _, r := range p.config.Responders {
			if r.Pool == name && r.Status.Only {
				text += ", status on " + r.Listen
			} else if r.Pool == name {
				text += ", FastCGI on " + r.Listen
			}
		}
		row(w, "Pool", text)
	}
}

// workersText describes the processes of a pool.
func (p *plan) workersText(i int) string {
	pool, userWhy := p.config.Pools[i], p.pools[i].userWhy
	parts := []string{pool.PM}
	if p.fpm != "" {
		parts[0] = fmt.Sprintf("pool %s of %s, %s", pool.Name, p.fpm, pool.PM)
	}
	if pool.PM == manager.PMStatic {
		parts = append(parts, fmt.Sprintf("%d", pool.MaxChildren))
	} else {
		parts = append(parts, fmt.Sprintf("at most %d", pool.MaxChildren))
	}
	switch {
	case pool.User != "" && os.Geteuid() != 0:
		parts = append(parts, "as the user who started phpserve (user has an effect for root only)")
	case pool.User != "" && userWhy != "":
		parts = append(parts, "as user "+pool.User+" ("+userWhy+")")
	case pool.User != "":
		parts = append(parts, "as user "+pool.User)
	}
	return strings.Join(parts, ", ")
}

// row writes a line; the project, which may be somebody else's, has a say in its text (composer.json).
func row(w io.Writer, name, value string) {
	fmt.Fprintf(w, "  %-17s %s\n", name, linelog.Visible(value))
}
