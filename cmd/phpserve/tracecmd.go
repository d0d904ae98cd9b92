package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/phpserve/phpserve/manager/phpstack"
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
			return askControlFor(cmd.Context(), path, http.MethodGet, "/trace?"+query.Encode(), func(resp *http.Response) error {
				text, err := io.ReadAll(resp.Body)
				if err == nil && len(text) == 0 {
					text = []byte("no worker runs a request\n")
				}
				if err == nil {
					_, err = stdout.Write(text)
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

// newProfileCommand is "phpserve profile".
func newProfileCommand(stdout io.Writer) *cobra.Command {
	var path, pool, file string
	var duration time.Duration
	var rate int
	var cpu bool
	cmd := &cobra.Command{
		Use:   "profile",
		Short: "find out where PHP spends its time",
		Long: "Read the PHP stacks of all workers that run a request many times a second, and write what was seen as a flame graph (.svg, .html), for\n" +
			"go tool pprof (.pprof, .pb.gz) or as folded stacks (.folded, .txt, or - for standard output). Workers are not stopped, and no\n" +
			"extension is needed.\n\n" +
			"A profile is of the time that passes, waiting for databases and others included; with --cpu it is of the processor's time.",
		Example: "  phpserve profile\n  phpserve profile --pool shop --duration 1m -o shop.pprof\n  phpserve profile --cpu -o - | sort -k2 -n | tail",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				file = time.Now().Format("phpserve-20060102-150405.svg")
			}
			form, err := profileForm(file)
			if err != nil {
				return &usageError{err: err}
			}
			query := url.Values{"pool": {pool}, "form": {form}, "duration": {duration.String()}, "rate": {strconv.Itoa(rate)}}
			if cpu {
				query.Set("cpu", "1")
			}
			return askControlFor(cmd.Context(), path, http.MethodPost, "/profile?"+query.Encode(), func(resp *http.Response) error {
				body, err := io.ReadAll(resp.Body)
				if err != nil {
					return fmt.Errorf("the profile broke off: %w", err)
				}
				if file == "-" {
					_, err = stdout.Write(body)
					return err
				}
				if err := os.WriteFile(file, body, 0o600); err != nil { // it tells names of the application's code
					return fmt.Errorf("cannot write the profile: %w", err)
				}
				_, err = fmt.Fprintf(stdout, "%s: %s\n", file, resp.Header.Get("Phpserve-Samples"))
				return err
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&pool, "pool", "", "only workers of the pool `NAME`")
	f.DurationVar(&duration, "duration", 10*time.Second, "how long")
	f.IntVar(&rate, "rate", phpstack.DefaultRate, "samples a `SECOND` of each worker")
	f.BoolVar(&cpu, "cpu", false, "of the processor's time, not of the time that passes")
	f.StringVarP(&file, "output", "o", "", "`FILE` for the profile (default phpserve-DATE-TIME.svg)")
	controlFlag(cmd, &path)
	return cmd
}
