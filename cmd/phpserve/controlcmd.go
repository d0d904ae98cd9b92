package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

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
		controlFlag(cmd, &path)
		return cmd
	}
	reload := command("reload [POOL]", "have a running phpserve read its configuration again",
		"Have a running phpserve read its configuration again. Pools that changed are replaced beside the old ones, and no request is\n"+
			"lost. A configuration that cannot work is reported here, and the old one stays. phpserve fpm becomes the program that is in its\n"+
			"place by then, if that is another and works.\n\n"+
			"With the name of a pool only that one is replaced, also if it did not change.",
		"  phpserve reload\n  phpserve reload shop", nil)
	reload.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return &usageError{err: fmt.Errorf("%s takes one pool, not %d: %q", cmd.CommandPath(), len(args), args)}
		}
		return nil
	}
	reload.RunE = func(cmd *cobra.Command, pools []string) error {
		var c controlChanges
		target := "/reload?" + url.Values{"pool": pools}.Encode()
		if err := askControl(cmd.Context(), path, http.MethodPost, target, &c); err != nil {
			return &configError{err}
		}
		c.print(stdout)
		return nil
	}
	reopen := command("reopen", "have a running phpserve open its logs anew", "Have a running phpserve open its logs anew, for logrotate.",
		"  phpserve reopen", func(cmd *cobra.Command) error {
			return askControl(cmd.Context(), path, http.MethodPost, "/reopen", &struct{}{})
		})
	stop := command("stop", "end a running phpserve", "End a running phpserve, and wait until it has ended. Its running requests finish, for process_control_timeout at most.",
		"  phpserve stop", func(cmd *cobra.Command) error {
			socket, err := findControl(cmd.Context(), path)
			if err != nil {
				return err
			}
			if err := askControl(cmd.Context(), socket, http.MethodPost, "/stop", &struct{}{}); err != nil {
				return err
			}
			return awaitEnd(cmd.Context(), socket)
		})
	return []*cobra.Command{newStatusCommand(stdout), newTopCommand(stdout), newTraceCommand(stdout), newProfileCommand(stdout), reload, reopen, stop}
}

// awaitEnd waits until nobody listens on a control socket, which is the last that phpserve gives up.
func awaitEnd(ctx context.Context, socket string) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		nc, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
		if err != nil {
			return ctx.Err()
		}
		nc.Close()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// controlFlag adds the flag --control.
func controlFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVar(path, "control", "", "control `SOCKET` of the phpserve that is meant (default: the only one of this user, wherever its socket is)")
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
	if c.Upgraded != "" {
		lines = append(lines, "upgraded to phpserve "+c.Upgraded)
	}
	return lines
}
