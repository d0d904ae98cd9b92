package main

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// version is set by the release build (-ldflags "-X main.version=...").
var version = "dev"

// run executes one command line and returns the exit code.
func run(args []string, stdout, stderr io.Writer, findPHP phpFinder) int {
	root := newRoot(stdout, stderr, findPHP)
	root.SetArgs(args)
	if cmd, err := root.ExecuteC(); err != nil {
		if usage, ok := errors.AsType[*usageError](err); ok && cmd != root {
			usage.command = cmd.CommandPath()
		}
		if said, ok := errors.AsType[*saidError](err); ok {
			return said.code
		}
		return report(stderr, err)
	}
	return exitOK
}

func newRoot(stdout, stderr io.Writer, findPHP phpFinder) *cobra.Command {
	root := &cobra.Command{
		Use:   "phpserve",
		Short: "serve PHP sites over HTTP and HTTPS",
		Long: `phpserve serves PHP sites over HTTP and HTTPS with its own PHP process manager, on the php-cgi of your system.
It takes the place of nginx, php-fpm and certbot on a server, and of "php -S" on a laptop.`,
		Example: `  phpserve run                      serve the site in this folder on http://localhost:8000
  phpserve run ./public             serve a given document root
  phpserve check --config my.yaml   say whether a configuration can work`,
		SilenceErrors: true, SilenceUsage: true,
		Version: versionText(), SuggestionsMinimumDistance: 2,
		Args: knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate(versionLine())
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err: flagError(err)} })
	root.AddCommand(newRunCommand(stdout, stderr, findPHP), newFPMCommand(stdout, stderr, findPHP), newCheckCommand(stdout, findPHP), newVersionCommand(stdout))
	root.AddCommand(newControlCommands(stdout)...)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "help":
			cmd.Short = "explain a command"
			cmd.Run, cmd.RunE = nil, helpCommand
		case "completion":
			cmd.Short = "print a script that lets the shell complete commands and flags"
			cmd.Args, cmd.RunE = knownCommand, func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
	return root
}

func newVersionCommand(stdout io.Writer) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "print the version of phpserve and of its parts", Args: noArgs,
		Example: "  phpserve version",
		RunE: func(*cobra.Command, []string) error {
			fmt.Fprint(stdout, versionLine())
			return nil
		},
	}
}

// versionLine is what "version" and --version print.
func versionLine() string {
	return fmt.Sprintf("phpserve %s %s %s/%s\n", versionText(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// versionText is the release's version, or what the Go tool knows of a build from source.
func versionText() string {
	if version != "dev" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return version
}

// noArgs refuses arguments with a usage error.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return &usageError{err: fmt.Errorf("%s takes no arguments, not %q", cmd.CommandPath(), args[0])}
	}
	return nil
}

// oneFolder lets "run" and "check" have one argument.
func oneFolder(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return &usageError{err: fmt.Errorf("%s takes one folder, not %d: %q", cmd.CommandPath(), len(args), args)}
	}
	return nil
}

// knownCommand refuses the arguments of a command that only has others below it.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	guess := ""
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		guess = fmt.Sprintf(", did you mean %q?", near[0])
	}
	return &usageError{err: fmt.Errorf("unknown command %q%s", args[0], guess)}
}

// helpCommand is "help [COMMAND]".
func helpCommand(cmd *cobra.Command, args []string) error {
	about, rest, err := cmd.Root().Find(args)
	if err != nil || len(rest) > 0 {
		return knownCommand(about, rest)
	}
	about.InitDefaultHelpFlag()
	return about.Help()
}

// flagError says in plain words what pflag says in those of strconv.
func flagError(err error) error {
	if value, ok := errors.AsType[*pflag.InvalidValueError](err); ok && value.GetFlag().Value.Type() == "int" {
		return fmt.Errorf("--%s: %q is not a whole number", value.GetFlag().Name, value.GetValue())
	}
	if short, ok := errors.AsType[*pflag.NotExistError](err); ok && strings.Contains("SpP", short.GetSpecifiedName()) {
		return fmt.Errorf("%w; the address is --listen ADDR", err) // php -S, -p of many servers
	}
	return err
}
