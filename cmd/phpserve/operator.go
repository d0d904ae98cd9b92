package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/phpserve/phpserve/linelog"
	"github.com/phpserve/phpserve/manager"
	"github.com/phpserve/phpserve/server/listen"
)

// Exit codes, those of sysexits(3) that php-fpm uses too.
const (
	exitOK       = 0
	exitUsage    = 64 // unknown command or flag
	exitSoftware = 70 // everything else
	exitConfig   = 78 // configuration that cannot work
)

// usageError is a command line that makes no sense.
type usageError struct {
	err     error
	command string // whose help explains it; empty: that of phpserve
}

func (e *usageError) Error() string { return e.err.Error() }

// configError is a configuration that cannot work.
type configError struct{ err error }

func (e *configError) Error() string { return e.err.Error() }
func (e *configError) Unwrap() error { return e.err }

// hintError carries what the operator can do.
type hintError struct {
	err  error
	hint string
}

func (e *hintError) Error() string { return e.err.Error() }
func (e *hintError) Unwrap() error { return e.err }

// report tells the operator about an error and returns the exit code. It is the only place that does:
// "phpserve: error: ..." for each thing that is wrong, then "phpserve: hint: ..." with what to do.
func report(stderr io.Writer, err error) int {
	if usage, ok := errors.AsType[*usageError](err); ok && usage.command == fpmCommand {
		fmt.Fprintln(stderr, "Usage: "+fpmCommand+" [flags]") // as php-fpm begins
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintf(stderr, "phpserve: error: %s\n", linelog.Visible(line))
	}
	for line := range strings.SplitSeq(hintFor(err), "\n") {
		if line != "" {
			fmt.Fprintf(stderr, "phpserve: hint: %s\n", linelog.Visible(line))
		}
	}
	var usage *usageError
	var config *configError
	switch {
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &config):
		return exitConfig
	}
	return exitSoftware
}

// hintFor finds what the operator can do about err.
func hintFor(err error) string {
	var hint *hintError
	var failed *listen.Error
	var usage *usageError
	switch {
	case errors.As(err, &hint):
		return hint.hint
	case errors.As(err, &failed):
		return failed.Hint
	case errors.As(err, &usage) && usage.command != "":
		return usage.command + " --help shows its flags, with examples"
	case errors.As(err, &usage):
		return "phpserve --help lists the commands, phpserve run --help the flags with examples"
	case errors.Is(err, manager.ErrNoPHP):
		return installPHP
	case errors.Is(err, manager.ErrRoot):
		return "name the user that owns the site with --user, or insist with --allow-root"
	}
	return ""
}

// installPHP is how to get php-cgi.
const installPHP = `Debian, Ubuntu: apt-get install php-cgi
Fedora, RHEL:   dnf install php-cli php-process php-opcache (php-cgi is in php-cli)
Alpine:         apk add php83-cgi php83-pcntl php83-posix php83-opcache
macOS:          brew install php
then run phpserve again, or name the binary with --php /path/to/php-cgi`
