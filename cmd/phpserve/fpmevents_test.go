//go:build unix

package main

import (
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/phpserve/phpserve/cmd/phpserve/fpmconf"
	"github.com/phpserve/phpserve/internal/patient"
)

func TestWorkerEventsAreInPHPFPMsWords(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		message string
		values  map[string]string
		level   fpmconf.Level
		text    string
	}{
		{eventStarted, map[string]string{"pid": "7", "replaces": "false"}, fpmconf.LevelDebug, "child 7 started"},
		{eventStarted, map[string]string{"pid": "7", "replaces": "true"}, fpmconf.LevelNotice, "child 7 started"},
		{
			eventEnded,
			map[string]string{"pid": "7", "how": "exited with code 0", "age": "1.5s"},
			fpmconf.LevelNotice, "child 7 exited with code 0 after 1.500000 seconds from start",
		},
		{
			eventEnded,
			map[string]string{"pid": "7", "how": "exited with code 70", "age": "1m0.25s", "script": "/x.php"},
			fpmconf.LevelWarning, "child 7 exited with code 70 after 60.250000 seconds from start, script: /x.php",
		},
		{
			eventEnded,
			map[string]string{"pid": "7", "how": "ended on signal: SIGSEGV (core dumped)", "age": "1ms"},
			fpmconf.LevelWarning, "child 7 exited on signal 11 (SIGSEGV - core dumped) after 0.001000 seconds from start",
		},
		{
			eventEnded,
			map[string]string{"pid": "7", "how": "exited with code 0", "age": "2s", "surplus": "true"},
			fpmconf.LevelDebug, "child 7 has been killed by the process management after 2.000000 seconds from start",
		},
		{
			eventEnded,
			map[string]string{"pid": "7", "how": "exited with code 0", "age": "2s", "stops": "true"},
			fpmconf.LevelDebug, "child 7 exited with code 0 after 2.000000 seconds from start",
		},
	} {
		if level, text := workerEvent(tt.message, tt.values); level != tt.level || text != tt.text {
			t.Errorf("%v: got %v %q, want %v %q", tt.values, level, text, tt.level, tt.text)
		}
	}
}

// TestFPMLogsWorkersAsPHPFPM compares what both tell of workers that are replaced, killed and too many.
func TestFPMLogsWorkersAsPHPFPM(t *testing.T) {
	t.Parallel()
	patient.UnderLimit(t, time.Second, func(limit time.Duration) (tooSlow bool) {
		config := "[global]\nerror_log = DIR/error.log\nlog_level = notice\n[www]\nUSER\nlisten = DIR/www.sock\npm = static\npm.max_children = 1\n" +
			"pm.max_requests = 2\nrequest_terminate_timeout = " + seconds(limit) + "\n"
		files := map[string]string{"s.php": `<?php echo 1;`, "long.php": `<?php sleep(100000);`}
		var logs [2][]string
		for i, name := range []string{"php-fpm", "phpserve"} {
			s := newSide(t, name, config, files)
			s.start()
			for range 5 {
				s.ask("www.sock", nil, "")
			}
			s.waitFor(" started")
			s.ask("www.sock", map[string]string{"SCRIPT_FILENAME": "DIR/long.php", "SCRIPT_NAME": "/long.php", "QUERY_STRING": "a=1"}, "")
			s.ask("www.sock", nil, "") // the next worker is there
			eventually(t, name+" has told of three", func() bool { return strings.Count(s.out.String(), " started\n") == 3 })
			s.stop(syscall.SIGTERM)
			for line := range strings.Lines(ages.ReplaceAllString(s.neutral(s.out.String()), "N $1")) {
				line = withoutWhy(line)
				line = strings.Replace(line, "signal 9 (SIGKILL)", "signal 15 (SIGTERM)", 1)
				if strings.Contains(line, " child N") {
					logs[i] = append(logs[i], line)
				}
			}
			slices.Sort(logs[i]) // a worker is replaced when its end is decided
		}
		want, got := strings.Join(logs[0], "\n"), strings.Join(logs[1], "\n")
		t.Logf("limit %v\nphp-fpm:\n%s\nphpserve:\n%s", limit, want, got)
		return got != want || len(logs[0]) != 7
	})
}
