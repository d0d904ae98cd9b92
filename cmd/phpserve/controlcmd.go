package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// newControlCommands are the commands that speak to a running phpserve.
func newControlCommands(stdout io.Writer) []*cobra.Command {
	var path string
	command := func(use, short, long, example string, run func(cmd *cobra.Command) error) *cobra.Command {
		cmd := &cobra.Command{
			Use: use, Short: short, Long: long, Example: example, Args: noArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd) },
		}
		cmd.Flags().StringVar(&path, "control", "", "control `SOCKET` of the phpserve that is meant (default: the only one of this user)")
		return cmd
	}
	var asJSON bool
	status := command("status", "show what a running phpserve does", "Show the pools of a running phpserve, of phpserve run or phpserve fpm.",
		"  phpserve status\n  phpserve status --json", func(cmd *cobra.Command) error {
			var s controlStatus
			if err := askControl(cmd.Context(), path, http.MethodGet, "/status", &s); err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(stdout).Encode(s)
			}
			return s.print(stdout)
		})
	status.Flags().BoolVar(&asJSON, "json", false, "print it as JSON")
	reload := command("reload", "have a running phpserve read its configuration again",
		"Have a running phpserve read its configuration again. Pools that changed are replaced beside the old ones, and no request is\n"+
			"lost. A configuration that cannot work is reported here, and the old one stays.",
		"  phpserve reload", func(cmd *cobra.Command) error {
			var c controlChanges
			if err := askControl(cmd.Context(), path, http.MethodPost, "/reload", &c); err != nil {
				return &configError{err}
			}
			c.print(stdout)
			return nil
		})
	reopen := command("reopen", "have a running phpserve open its logs anew", "Have a running phpserve open its logs anew, for logrotate.",
		"  phpserve reopen", func(cmd *cobra.Command) error {
			return askControl(cmd.Context(), path, http.MethodPost, "/reopen", &struct{}{})
		})
	stop := command("stop", "end a running phpserve", "End a running phpserve. Its running requests finish, for process_control_timeout at most.",
		"  phpserve stop", func(cmd *cobra.Command) error {
			return askControl(cmd.Context(), path, http.MethodPost, "/stop", &struct{}{})
		})
	return []*cobra.Command{status, reload, reopen, stop}
}

// print shows a status to a person.
func (s *controlStatus) print(w io.Writer) error {
	fmt.Fprintf(w, "phpserve %s, pid %d\n\n", s.Version, s.PID)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "POOL\tPHP\tENGINE\tPM\tBUSY\tIDLE\tMOST\tWAITING\tREQUESTS")
	for _, p := range s.Pools {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\n", p.Name, p.PHP, p.Engine, p.PM, p.Busy, p.Idle, p.Most, p.Waiting, p.Requests)
	}
	return t.Flush()
}

// print shows what a reload did.
func (c *controlChanges) print(w io.Writer) {
	for _, line := range c.lines() {
		fmt.Fprintln(w, line)
	}
}

// lines says what a reload did, one line for each kind of change.
func (c *controlChanges) lines() (lines []string) {
	for _, kind := range []struct {
		what  string
		pools []string
	}{{"added", c.Added}, {"replaced", c.Replaced}, {"kept", c.Kept}, {"removed", c.Removed}} {
		if len(kind.pools) > 0 {
			lines = append(lines, kind.what+" "+strings.Join(kind.pools, ", "))
		}
	}
	return lines
}
