package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/phpserve/phpserve/manager/phpstack"
)

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
			"Interrupted before its time, with Ctrl-C, it has what was seen until then. Interrupted once more, the command ends without.\n\n" +
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
			query := url.Values{"held": {"1"}, "pool": {pool}, "form": {form}, "duration": {duration.String()}, "rate": {strconv.Itoa(rate)}}
			if cpu {
				query.Set("cpu", "1")
			}
			socket, err := findControl(cmd.Context(), path)
			if err != nil {
				return err
			}
			held, end := untilInterrupted(cmd.Context())
			defer end()
			if isTerminal(cmd.ErrOrStderr()) {
				cmd.PrintErrf("looking at PHP for %v; Ctrl-C ends it before\n", duration)
			}
			return askControlFor(cmd.Context(), socket, http.MethodPost, "/profile?"+query.Encode(), held, func(resp *http.Response) error {
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

// untilInterrupted is the body of a request for a profile: nothing, for as long as the profile is to be taken. End must be called.
func untilInterrupted(ctx context.Context) (body io.Reader, end func()) {
	body, held := io.Pipe()
	ctx, end = signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, func() {
		end() // the next signal is for the command itself
		held.Close()
	})
	return body, end
}
