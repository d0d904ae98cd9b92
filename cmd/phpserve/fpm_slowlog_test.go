//go:build unix

package main

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/phpserve/phpserve/internal/patient"
)

// slowScripts are slow in different ways, for SECONDS.
var slowScripts = map[string]string{
	"sleep.php":   `<?php function waits() { sleep(SECONDS); } class Page { function show() { waits(); } } (new Page)->show();`,
	"busy.php":    `<?php $until = microtime(true) + SECONDS; while (microtime(true) < $until) { for ($i = 0; $i < 1000000; $i++) { } }`,
	"lock.php":    `<?php $f = fopen('DIR/lock', 'c'); function locks($f) { if (!flock($f, LOCK_EX | LOCK_NB)) { $g = fopen('DIR/lock', 'c'); } $h = fopen('DIR/lock', 'c'); set_time_limit(SECONDS); poll($h); } function poll($h) { for ($i = 0; $i < SECONDS && !flock($h, LOCK_EX | LOCK_NB); $i++) { sleep(1); } } locks($f);`,
	"deep.php":    `<?php function deep($n) { if ($n > 0) { return deep($n - 1); } sleep(SECONDS); } deep(60);`,
	"closure.php": `<?php $f = function () { array_map(fn ($n) => sleep($n), [SECONDS]); }; (function () use ($f) { $f(); })();`,
	"include.php": `<?php function loads() { include 'DIR/sleep.inc'; } loads();`,
	"sleep.inc":   `<?php sleep(SECONDS);`,
	"eval.php":    `<?php eval('function f() { sleep(SECONDS); } f();');`,
	"network.php": `<?php $l = stream_socket_server('tcp://127.0.0.1:0'); $c = stream_socket_client('tcp://' . stream_socket_get_name($l, false)); stream_set_timeout($c, SECONDS); function reads($c) { return fgets($c); } reads($c);`,
	"curl.php":    `<?php $l = stream_socket_server('tcp://127.0.0.1:0'); function fetch($at) { $c = curl_init("http://$at/"); curl_setopt($c, CURLOPT_TIMEOUT, SECONDS); curl_setopt($c, CURLOPT_RETURNTRANSFER, true); return curl_exec($c); } fetch(stream_socket_get_name($l, false));`,
	"blocks.php":  `<?php exec('flock DIR/held sh -c "touch DIR/holds; sleep SECONDS" > /dev/null 2>&1 &'); while (!file_exists('DIR/holds')) { usleep(1000); clearstatcache(); } function blocks($f) { flock($f, LOCK_EX); } blocks(fopen('DIR/held', 'c'));`,
	"fast.php":    `<?php echo 1;`,
}

var frameAddresses = regexp.MustCompile(`\[0x[0-9a-f]{16}\]`)

// TestFPMSlowlogIsPHPFPMs: the same frames for the same scripts, each once, in each side's slowlog.
func TestFPMSlowlogIsPHPFPMs(t *testing.T) {
	t.Parallel()
	patient.UnderLimit(t, time.Second, func(limit time.Duration) (tooSlow bool) {
		config := "[global]\nerror_log = DIR/error.log\n[www]\nUSER\nlisten = DIR/www.sock\npm = static\npm.max_children = 12\n" +
			"request_slowlog_timeout = " + seconds(limit) + "\nslowlog = DIR/slow.log\nphp_value[max_execution_time] = 0\n"
		blocks := map[string]map[string]string{}
		scripts := map[string]string{}
		for name, text := range slowScripts {
			scripts[name] = strings.ReplaceAll(text, "SECONDS", strconv.Itoa(int(3*limit.Seconds())))
		}
		sides := []*side{newSide(t, "php-fpm", config, scripts), newSide(t, "phpserve", config, scripts)}
		differs := func(format string, args ...any) {
			t.Logf("limit %v: "+format, append([]any{limit}, args...)...)
			tooSlow = true
		}
		var answered []chan struct{}
		for _, s := range sides {
			s.start()
			for name := range scripts {
				if strings.HasSuffix(name, ".inc") {
					continue
				}
				done := make(chan struct{})
				answered = append(answered, done)
				go func() {
					defer close(done)
					s.ask("www.sock", map[string]string{"SCRIPT_FILENAME": "DIR/" + name, "SCRIPT_NAME": "/" + name, "QUERY_STRING": "q=1"}, "")
				}()
			}
		}
		for _, done := range answered {
			<-done
		}
		for _, s := range sides {
			s.stop(syscall.SIGTERM)
			blocks[s.name] = map[string]string{}
			for block := range strings.SplitSeq(frameAddresses.ReplaceAllString(s.file("slow.log"), "[ADDRESS]"), "\n\n") {
				block = strings.TrimSpace(block)
				_, script, _ := strings.Cut(block, "script_filename = DIR/")
				script, _, _ = strings.Cut(script, "\n")
				if _, twice := blocks[s.name][script]; twice {
					differs("%s: two traces of %s", s.name, script)
				}
				blocks[s.name][script] = block
			}
		}
		if n := len(blocks["php-fpm"]); n != len(slowScripts)-2 {
			differs("php-fpm has %d traces\n%s", n, sides[0].file("slow.log"))
		}
		if len(blocks["phpserve"]) != len(blocks["php-fpm"]) {
			differs("phpserve has %d traces\n%s\n%s", len(blocks["phpserve"]), sides[1].file("slow.log"), sides[1].out)
		}
		for script, top := range map[string]string{
			"sleep.php": "sleep", "lock.php": "sleep", "blocks.php": "flock", "deep.php": "sleep", "curl.php": "curl_exec", "network.php": "fgets",
		} {
			if !strings.Contains(blocks["phpserve"][script], "\n[ADDRESS] "+top+"() DIR/"+script+":1") {
				differs("the innermost call of %s is not %s\n%s", script, top, blocks["phpserve"][script])
			}
		}
		for script, want := range blocks["php-fpm"] {
			if got := blocks["phpserve"][script]; got != want {
				differs("%s\nphp-fpm:  %s\nphpserve: %s", script, want, got)
			}
		}
		took := regexp.MustCompile(`executing too slow \([\d.]+ sec\), logging`)
		for _, s := range sides {
			log := took.ReplaceAllString(s.out.String()+s.file("error.log"), "executing too slow (N sec), logging")
			want := `WARNING: [pool www] child N, script 'DIR/sleep.php' (request: "GET /sleep.php?q=1") executing too slow (N sec), logging`
			if log = s.neutral(log); !strings.Contains(log, want) {
				differs("%s does not warn\n%s", s.name, log)
			}
		}
		return tooSlow
	})
}

// TestFPMSlowlogReopens has the slowlog go on in a new file, and counts.
func TestFPMSlowlogReopens(t *testing.T) {
	underBothEngines(t, func(t *testing.T, engine string) {
		s := startEngine(t, engine, poolWith("request_slowlog_timeout = 1s", "slowlog = DIR/slow.log", "pm.status_path = /status"), map[string]string{
			// On one line: the trace is of whatever it does there, which is to sleep.
			"s.php": `<?php do { usleep(1000000); clearstatcache(); } while (!@filesize('DIR/slow.log'));`,
		})
		s.ask("www.sock", nil, "")
		if err := os.Rename(s.dir+"/slow.log", s.dir+"/slow.log.1"); err != nil {
			t.Fatal(err)
		}
		if err := s.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
			t.Fatal(err)
		}
		s.waitFor("access log file re-opened")
		s.ask("www.sock", nil, "")
		for _, name := range []string{"slow.log", "slow.log.1"} { // written while the script waited for it
			if log := s.file(name); strings.Count(log, "usleep() DIR/s.php:1") != 1 {
				t.Errorf("%s: %q", name, log)
			}
		}
		if status := s.ask("www.sock", page("/status", ""), ""); !strings.Contains(status, "slow requests:        2\n") {
			t.Errorf("the status: %s", status)
		}
		s.stop(syscall.SIGTERM)
	})
}
