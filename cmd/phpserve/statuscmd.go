package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/phpserve/phpserve/linelog"
	"github.com/phpserve/phpserve/manager"
)

// newStatusCommand is "phpserve status".
func newStatusCommand(stdout io.Writer) *cobra.Command {
	var path, format string
	var asJSON, full bool
	cmd := &cobra.Command{
		Use:   "status [POOL]",
		Short: "show what a running phpserve does",
		Long: "Show the pools of a running phpserve, of phpserve run or phpserve fpm; with --full also what each worker does, or did last. With\n" +
			"--format it is php-fpm's status page, for tools that know that.",
		Example: "  phpserve status\n  phpserve status www --full\n  phpserve status --format json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, pools []string) error {
			formats := []manager.StatusFormat{
				manager.StatusText, manager.StatusJSON, manager.StatusXML, manager.StatusHTML, manager.StatusOpenMetrics,
			}
			if format != "" && !slices.Contains(formats, manager.StatusFormat(format)) {
				return &usageError{err: fmt.Errorf("--format must be text, json, xml, html or openmetrics, not %q", format)}
			}
			if format == "" && !full && len(pools) == 0 {
				return summary(cmd, stdout, path, asJSON)
			}
			if asJSON && format == "" {
				format = string(manager.StatusJSON)
			}
			if format == "" {
				format = string(manager.StatusText)
			}
			query := url.Values{"pool": {strings.Join(pools, "")}, "format": {format}}
			if full {
				query.Set("full", "1")
			}
			return askControlFor(cmd.Context(), path, http.MethodGet, "/page?"+query.Encode(), nil, func(resp *http.Response) error {
				if format != string(manager.StatusText) { // which are escaped as they are
					_, err := io.Copy(stdout, resp.Body)
					return err
				}
				text, err := io.ReadAll(resp.Body)
				if err == nil {
					_, err = io.WriteString(stdout, linelog.VisibleLines(string(text)))
				}
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print it as JSON")
	cmd.Flags().BoolVar(&full, "full", false, "show the workers, too")
	cmd.Flags().StringVar(&format, "format", "", "php-fpm's status page as text, json, xml, html or openmetrics")
	controlFlag(cmd, &path)
	return cmd
}

// summary shows a line for each pool.
func summary(cmd *cobra.Command, stdout io.Writer, path string, asJSON bool) error {
	var s controlStatus
	if err := askControl(cmd.Context(), path, http.MethodGet, "/status", &s); err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(stdout).Encode(s)
	}
	return s.print(stdout)
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
