// Command bench compares phpserve with nginx and php-fpm on the same machine,
// the same PHP and the same settings: docs/benchmark.md says how and why.
//
// It starts every server itself in a temporary folder, loads them in
// interleaved rounds with wrk, and ends them again.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

// Exit codes of the program.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// errBelowMinimum says that -check found a requests/s ratio below -min.
var errBelowMinimum = errors.New("a requests/s ratio is below the minimum")

func main() {
	// Children get a parent death signal, which the kernel ties to the thread
	// that started them (prctl(2), PR_SET_PDEATHSIG): it must live until the end.
	runtime.LockOSThread()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := mainCode(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func mainCode(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parseOptions(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		_, _ = fmt.Fprintf(stderr, "bench: error: %v\n", err)
		return exitUsage
	}
	if err := run(ctx, o, stdout, stderr); err != nil {
		if ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		_, _ = fmt.Fprintf(stderr, "bench: error: %v\n", err)
		return exitFailed
	}
	return exitOK
}

// run is the whole benchmark: prepare, measure speed with all sides up,
// measure memory with one side up at a time, report.
func run(ctx context.Context, o options, stdout, stderr io.Writer) (err error) {
	if err := adoptOrphans(); err != nil {
		return err
	}
	b, err := newBench(ctx, o, stderr)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := b.close(); err == nil {
			err = closeErr
		}
	}()
	if err := b.measureSpeed(ctx); err != nil {
		return err
	}
	if err := b.measureMemory(ctx); err != nil {
		return err
	}
	if err := writeReport(stdout, &b.result); err != nil {
		return fmt.Errorf("cannot write the report: %v", err)
	}
	if o.jsonFile != "" {
		if err := writeJSON(o.jsonFile, &b.result); err != nil {
			return err
		}
	}
	if o.check && belowMinimum(verdicts(&b.result), o.minimum) {
		return fmt.Errorf("%w of %.2f", errBelowMinimum, o.minimum)
	}
	return nil
}
