package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/phpserve/phpserve/server"
)

// screen prints the first thing an operator sees; the URL is its last line.
func (p *plan) screen(w io.Writer, s *server.Server, note string) {
	fmt.Fprintf(w, "phpserve %s\n\n", versionText())
	kind, why := s.Pool(p.config.Sites[0].Pool).Engine()
	p.describe(w)
	row(w, "Engine", fmt.Sprintf("%s (%s)", kind, why))
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
}

// describe prints what is known before anything is started.
func (p *plan) describe(w io.Writer) {
	site := p.config.Sites[0]
	row(w, "PHP", fmt.Sprintf("%s, %s (%s)", p.php.Version, p.php.Path, p.phpWhy))
	row(w, "Workers", p.workersText())
	row(w, "Document root", fmt.Sprintf("%s (%s)", site.Root, p.rootWhy))
	front := site.FrontController
	if front == "" {
		front = "none"
	}
	row(w, "Front controller", front)
	for _, more := range p.config.Sites[1:] {
		row(w, "Site", fmt.Sprintf("%s, %s", strings.Join(more.Hosts, " "), more.Root))
	}
	if p.file != "" {
		row(w, "Configuration", p.file)
	}
}

func row(w io.Writer, name, value string) { fmt.Fprintf(w, "  %-17s %s\n", name, value) }
