package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The sides, in the order in which the report prints them.
const (
	sidePhpserve       = "phpserve"
	sideNginx          = "nginx"
	sideNginxKeepalive = "nginx-keepalive"

	// These are phpserve again, and not measured unless asked for: with nothing else, which tells what a difference is worth here, with
	// metrics, status and slow log on and looked at, and with a profile being taken.
	sideAgain    = "phpserve-again"
	sideObserved = "phpserve-observed"
	sideProfiled = "phpserve-profiled"
)

// The scripts, in the order in which the report prints them.
const (
	scriptHello = "hello"
	scriptCPU   = "cpu"
	scriptLarge = "large"
)

// options is the command line.
type options struct {
	sides       []string
	scripts     []string
	connections []int
	rounds      int
	duration    time.Duration
	workers     int
	// keepalive is nginx's `keepalive`: idle upstream connections kept per
	// nginx worker process; 0 chooses by fairKeepalive.
	keepalive int
	phpserve  string
	config    string
	phpCGI    string
	phpFPM    string
	nginx     string
	wrk       string
	user      string
	jsonFile  string
	check     bool
	minimum   float64
	keep      bool
}

func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	var sides, scripts, connections string
	var quick bool
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&sides, "sides", strings.Join(allSides(), ","), "`list` of sides to measure; also phpserve-again, phpserve-observed and phpserve-profiled")
	f.StringVar(&scripts, "only", strings.Join(allScripts(), ","), "`list` of scripts to measure")
	f.StringVar(&connections, "connections", "1,16", "`list` of numbers of client connections")
	f.IntVar(&o.rounds, "rounds", 5, "rounds; every round measures every side in every cell once")
	f.DurationVar(&o.duration, "duration", 3*time.Second, "load `time` of one side in one cell, in whole seconds")
	f.IntVar(&o.workers, "workers", 4, "PHP workers of each side")
	f.IntVar(&o.keepalive, "nginx-keepalive", 0, "idle upstream connections kept per nginx process; 0 chooses the most that cannot starve")
	f.StringVar(&o.phpserve, "phpserve", "", "phpserve `binary`; built from this repository when empty")
	f.StringVar(&o.config, "phpserve-config", "", "config `file` for phpserve; an empty one when not given")
	f.StringVar(&o.phpCGI, "php-cgi", "", "php-cgi `binary`; from PATH when empty")
	f.StringVar(&o.phpFPM, "php-fpm", "", "php-fpm `binary`; that of php-cgi's version when empty")
	f.StringVar(&o.nginx, "nginx", "nginx", "nginx `binary`")
	f.StringVar(&o.wrk, "wrk", "wrk", "wrk `binary`")
	f.StringVar(&o.user, "user", "www-data", "`user` of the PHP workers and of nginx's, when started as root")
	f.StringVar(&o.jsonFile, "json", "", "also write the results with every sample to this `file`")
	f.BoolVar(&o.check, "check", false, "exit 1 when phpserve's median requests/s ratio to a peer is below -min")
	f.Float64Var(&o.minimum, "min", 1, "smallest `ratio` that -check accepts")
	f.BoolVar(&quick, "quick", false, "one round of one second, to try the benchmark out")
	f.BoolVar(&o.keep, "keep", false, "keep the temporary folder with configurations and logs")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("cannot use argument %q: only flags are allowed", f.Arg(0))
	}
	if quick {
		o.rounds, o.duration = 1, time.Second
	}
	var err error
	if o.sides, err = choose("side", sides, append(allSides(), sideAgain, sideObserved, sideProfiled)); err != nil {
		return o, err
	}
	if o.scripts, err = choose("script", scripts, allScripts()); err != nil {
		return o, err
	}
	if o.connections, err = parseConnections(connections); err != nil {
		return o, err
	}
	return o, o.validate()
}

func allSides() []string   { return []string{sidePhpserve, sideNginx, sideNginxKeepalive} }
func allScripts() []string { return []string{scriptHello, scriptCPU, scriptLarge} }

func (o options) validate() error {
	switch {
	case o.rounds < 1:
		return fmt.Errorf("cannot use -rounds %d: at least 1", o.rounds)
	case o.duration < time.Second || o.duration%time.Second != 0:
		return fmt.Errorf("cannot use -duration %v: wrk takes whole seconds, at least 1s", o.duration)
	case o.workers < 2:
		return fmt.Errorf("cannot use -workers %d: at least 2, a kept-alive connection would hold a single one for ever", o.workers)
	case o.keepalive < 0:
		return fmt.Errorf("cannot use -nginx-keepalive %d: 0 or more", o.keepalive)
	case o.check && (len(o.sides) < 2 || !slices.Contains(o.sides, sidePhpserve)):
		return errors.New("cannot use -check: it needs phpserve and a peer in -sides")
	}
	if o.config != "" {
		if _, err := os.Stat(o.config); err != nil {
			return fmt.Errorf("cannot use -phpserve-config: %v", err)
		}
	}
	return nil
}

// choose returns the members of the comma-separated list in the order of
// allowed; a name that is not allowed is an error.
func choose(what, list string, allowed []string) ([]string, error) {
	named := strings.Split(list, ",")
	for _, name := range named {
		if !slices.Contains(allowed, name) {
			return nil, fmt.Errorf("cannot use %s %q: allowed are %s", what, name, strings.Join(allowed, ", "))
		}
	}
	var chosen []string
	for _, name := range allowed {
		if slices.Contains(named, name) {
			chosen = append(chosen, name)
		}
	}
	return chosen, nil
}

func parseConnections(list string) ([]int, error) {
	var numbers []int
	for text := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 1000 {
			return nil, fmt.Errorf("cannot use connections %q: a number from 1 to 1000", text)
		}
		numbers = append(numbers, n)
	}
	return numbers, nil
}
