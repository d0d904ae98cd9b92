package main

import (
	"context"
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
			engines, err := p.check(cmd.Context(), l)
			if err != nil {
				return err
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

// check asks PHP about each pool, as the start does, and adds what the start would warn of.
func (p *plan) check(ctx context.Context, l *loader) ([]engine, error) {
	engines := make([]engine, len(p.pools))
	said := map[string]bool{}
	warn := func(text string) {
		if !said[text] {
			p.warnings = append(p.warnings, text)
		}
		said[text] = true
	}
	for i := range p.pools {
		pool, php := &p.config.Pools[i], *p.pools[i].php // what PHP can do depends on the ini files, which are the pool's
		kind, why, err := pool.Check(ctx, &php)
		if err != nil {
			return nil, &configError{l.locate(err)}
		}
		engines[i] = engine{kind, why}
		warnings, err := pool.Warnings(&php, kind)
		if err != nil {
			return nil, &configError{l.locate(err)}
		}
		for _, line := range php.Startup() {
			warn("PHP says at its start: " + line)
		}
		for _, w := range warnings {
			warn(fmt.Sprintf("[pool %s] %s: %s", pool.Name, w.Message, w.Why))
		}
	}
	return engines, nil
}
