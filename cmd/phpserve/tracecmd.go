package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/phpserve/phpserve/linelog"
	"github.com/spf13/cobra"
)

// newTraceCommand is "phpserve trace".
func newTraceCommand(stdout io.Writer) *cobra.Command {
	var path, pool string
	var args bool
	cmd := &cobra.Command{
		Use:   "trace [PID]",
		Short: "show what PHP code workers run at this moment",
		Long: "Show the PHP stack of a worker, or of all workers that run a request: each function that is being called, with the line that\n" +
			"runs in it. The worker is not stopped, and no extension is needed.\n\n" +
			"With --args the arguments are shown, too. They may hold what is nobody's business: those of parameters with telling names,\n" +
			"such as $password, are masked, others are not.",
		Example: "  phpserve trace\n  phpserve trace 4711 --args\n  phpserve trace --pool shop",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, given []string) error {
			query := url.Values{}
			if len(given) > 0 {
				if pid, err := strconv.Atoi(given[0]); err != nil || pid < 1 {
					return &usageError{err: fmt.Errorf("%q is not the pid of a worker; phpserve status --full lists them", given[0])}
				}
				query.Set("pid", given[0])
			}
			query.Set("pool", pool)
			if args {
				query.Set("args", "1")
			}
			return askControlFor(cmd.Context(), path, http.MethodGet, "/trace?"+query.Encode(), nil, func(resp *http.Response) error {
				text, err := io.ReadAll(resp.Body)
				if err == nil && len(text) == 0 {
					text = []byte("no worker runs a request\n")
				}
				if err == nil {
					_, err = io.WriteString(stdout, linelog.VisibleLines(string(text)))
				}
				return err
			})
		},
	}
	cmd.Flags().StringVar(&pool, "pool", "", "only workers of the pool `NAME`")
	cmd.Flags().BoolVar(&args, "args", false, "show arguments, too")
	controlFlag(cmd, &path)
	return cmd
}

// The forms of a profile.
const (
	formPprof  = "pprof"
	formFolded = "folded"
	formGraph  = "graph"
	formPage   = "page"
)

// profileForm is the form that a file's name asks for.
func profileForm(file string) (form string, err error) {
	switch name := strings.ToLower(filepath.Base(file)); {
	case strings.HasSuffix(name, ".pprof"), strings.HasSuffix(name, ".pb.gz"):
		return formPprof, nil
	case file == "-", strings.HasSuffix(name, ".folded"), strings.HasSuffix(name, ".txt"):
		return formFolded, nil
	case strings.HasSuffix(name, ".svg"):
		return formGraph, nil
	case strings.HasSuffix(name, ".html"), strings.HasSuffix(name, ".htm"):
		return formPage, nil
	}
	return "", fmt.Errorf("cannot tell the form of a profile from %q: .svg or .html is a flame graph, .pprof or .pb.gz are for go tool pprof, "+
		".folded or .txt are folded stacks", file)
}
