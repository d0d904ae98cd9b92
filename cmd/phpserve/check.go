package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

func newCheckCommand(stdout io.Writer, findPHP phpFinder) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check [DIR]",
		Short: "say whether a configuration can work",
		Long: `Read the configuration as "run" would and say what is wrong with it, without starting anything.

Exit code 0: it can work; 78: the configuration cannot; 70: something else is missing, such as PHP.`,
		Example: `  phpserve check
  phpserve check --config /etc/phpserve.yaml`,
		Args: oneFolder,
		RunE: func(cmd *cobra.Command, args []string) error {
			settings, l, err := load(cmd.Flags(), os.Environ())
			if err != nil {
				return err
			}
			if _, err := newLogger(&settings, io.Discard); err != nil {
				return &configError{l.locate(err)}
			}
			dir := ""
			if len(args) > 0 {
				dir = args[0]
			}
			p, err := makePlan(cmd.Context(), settings, l, dir, findPHP)
			if err != nil {
				return err
			}
			engines := make([]engine, len(p.pools))
			for i := range p.pools {
				if engines[i].kind, engines[i].why, err = p.config.Pools[i].Check(cmd.Context(), p.pools[i].php); err != nil {
					return &configError{l.locate(err)}
				}
			}
			source := "the defaults"
			if p.file != "" {
				source = p.file
			}
			fmt.Fprintf(stdout, "%s: can work\n", source)
			for _, text := range p.warnings {
				row(stdout, "Warning", text)
			}
			p.describe(stdout, engines)
			row(stdout, "Listen", strings.Join(p.config.Listen, " "))
			row(stdout, "Access log", p.config.AccessLog)
			return nil
		},
	}
	addFlags(cmd.Flags())
	return cmd
}
