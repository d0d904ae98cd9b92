//go:build unix

package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// statusTimes are what two servers that run side by side cannot have in common, and what php-fpm does not know of unix sockets:
// the length of the queue, and that a request waited in it for the first worker of an ondemand pool.
var statusTimes = regexp.MustCompile(`(start[ -](?:time|since)"?(?::|</th><td>|>) *|phpfpm_start_since |(?:max[ -]listen[ -]queue|listen[ -]queue[ -]len)"?(?::|</th><td>|>) *|phpfpm_(?:max_listen_queue|listen_queue_length) )[^\n,<]+`)

// statusSides asks both sides the same and compares the answers.
func statusSides(t *testing.T, config string, ask func(s *side) []string) {
	t.Helper()
	files := map[string]string{"s.php": `<?php echo "served";`, "t.php": `<?php fastcgi_finish_request();`}
	fpm, own := newSide(t, "php-fpm", config, files), newSide(t, "phpserve", config, files)
	fpm.start()
	own.start()
	want, got := ask(fpm), ask(own)
	for i := range want {
		same := func(s *side, text string) string {
			text = strings.ReplaceAll(text, strings.ReplaceAll(s.dir, "/", `\/`), "DIR")
			return statusTimes.ReplaceAllString(text, "$1")
		}
		if a, b := same(fpm, want[i]), same(own, got[i]); a != b {
			t.Errorf("answer %d\nphp-fpm:  %q\nphpserve: %q", i, a, b)
		}
	}
}

// statusForms are the query strings of every form, and of what looks like one.
var statusForms = []string{
	"", "html", "xml", "json", "openmetrics", "full", "html&full", "xml&full", "json&full", "openmetrics&full", "full=0&html=",
	"j", "h&f", "json&xml", "xml&html&json", "jsonx", "text", "a=1&%6Ason", "=", "&&xml", "o", "JSON",
}

// TestFPMStatusIsToTheByte: the address of pm.status_listen takes no worker with php-fpm, either.
func TestFPMStatusIsToTheByte(t *testing.T) {
	t.Parallel()
	for _, pm := range []string{
		"pm = static\npm.max_children = 2\n",
		"pm = dynamic\npm.max_children = 4\npm.start_servers = 2\npm.min_spare_servers = 2\npm.max_spare_servers = 3\n",
		"pm = ondemand\npm.max_children = 3\n",
	} {
		config := "[global]\nerror_log = DIR/error.log\n[www]\nUSER\nlisten = DIR/www.sock\npm.status_path = /status\npm.status_listen = DIR/status.sock\n" +
			"ping.path = /ping\n" + pm
		statusSides(t, config, func(s *side) (answers []string) {
			idle := 2
			if strings.Contains(pm, "ondemand") {
				s.ask("www.sock", nil, "")
				idle = 1
			}
			s.allIdle(idle)
			for _, query := range statusForms {
				if strings.Contains(query, "f") && !strings.Contains(query, "openmetrics") {
					continue // pids
				}
				answers = append(answers, s.ask("status.sock", page("/status", query), ""))
			}
			head := page("/status", "json")
			head["REQUEST_METHOD"] = "HEAD"
			post := page("/status", "json")
			post["REQUEST_METHOD"] = "POST"
			return append(answers, s.ask("status.sock", head, ""), s.ask("status.sock", post, ""), s.ask("status.sock", page("/statusx", ""), ""),
				s.ask("status.sock", page("/ping", ""), ""), s.ask("status.sock", page("/ping", "full"), ""), s.ask("status.sock", page("/pingx", ""), ""),
				s.ask("www.sock", page("/statusx", ""), ""), s.ask("www.sock", page("/ping", ""), ""), s.ask("www.sock", page("/ping", "json"), ""))
		})
	}
}

// allIdle waits until n workers wait for requests, and none does anything else: php-fpm says that it is ready before its children are.
func (s *side) allIdle(n int) {
	s.t.Helper()
	eventually(s.t, s.name+" has its workers", func() bool {
		status := s.ask("status.sock", page("/status", ""), "")
		return strings.Contains(status, fmt.Sprintf("\nidle processes:       %d\nactive processes:     0\ntotal processes:      %d\n", n, n))
	})
}

// page is a request for one of php-fpm's own pages.
func page(name, query string) map[string]string {
	return map[string]string{"SCRIPT_FILENAME": "DIR" + name, "SCRIPT_NAME": name, "REQUEST_URI": name + "?" + query, "QUERY_STRING": query}
}

// TestFPMStatusOfProcesses shows what each worker does and did.
func TestFPMStatusOfProcesses(t *testing.T) {
	t.Parallel()
	config := "[global]\nerror_log = DIR/error.log\n[www]\nUSER\nlisten = DIR/www.sock\npm.status_path = /status\npm.status_listen = DIR/status.sock\n" +
		"pm = static\npm.max_children = 1\nphp_value[memory_limit] = 64M\n"
	durations := regexp.MustCompile(`((?:request[ -]duration|pid|last[ -]request[ -]cpu)"?(?:: *|>))[\d.]+`)
	cells := regexp.MustCompile(`(<tr><td>)\d+(</td><td>Idle</td><td>)[^<]+(</td><td>)\d+(</td><td>\d+</td><td>)\d+((?:</td><td>[^<]*){5}</td><td>)[\d.]+`)
	statusSides(t, config, func(s *side) (answers []string) {
		for _, params := range []map[string]string{
			{},
			{"QUERY_STRING": "a=<b>&c=\"d\"&e='f'&g=/h\\"},
			{"HTTP_AUTHORIZATION": "Basic dTw+JiI6cA=="},
			{"QUERY_STRING": "caf\u00e9=\U0001F600&\x01\t\x7f"},
			{"QUERY_STRING": "a=\xff\xfe"},
			{"SCRIPT_FILENAME": "DIR/s.php/info", "SCRIPT_NAME": "/s.php/info"},
			{"SCRIPT_FILENAME": "DIR/t.php", "SCRIPT_NAME": "/t.php"},
		} {
			body := ""
			if params["QUERY_STRING"] == "" {
				body = "the body"
				params["REQUEST_METHOD"] = "POST"
			}
			s.ask("www.sock", params, body)
			eventually(t, "the worker is idle", func() bool {
				return strings.Contains(s.ask("status.sock", page("/status", "full"), ""), "state:                Idle\n")
			})
			for _, form := range []string{"full", "xml&full", "json&full", "html&full"} {
				if params["HTTP_AUTHORIZATION"] != "" && form == "json&full" {
					continue // php-fpm's is no JSON then
				}
				answer := s.ask("status.sock", page("/status", form), "")
				answers = append(answers, cells.ReplaceAllString(durations.ReplaceAllString(answer, "$1"), "$1$2$3$4$5"))
			}
		}
		return answers
	})
}

// TestFPMStatusIsAnsweredWhileAllAreBusy: php-fpm's waits for a worker.
func TestFPMStatusIsAnsweredWhileAllAreBusy(t *testing.T) {
	t.Parallel()
	s := startOwn(t, poolWith("pm.status_path = /status", "ping.path = /ping", "ping.response = here"), map[string]string{
		"s.php": `<?php touch('DIR/runs'); while (!file_exists('DIR/go')) { usleep(1000); clearstatcache(); } echo "finished";`,
	})
	answer := make(chan string, 1)
	go func() {
		answer <- s.ask("www.sock", map[string]string{"QUERY_STRING": "q=1", "REQUEST_URI": "/pretty?q=1"}, "")
	}()
	eventually(t, "the script runs", func() bool { return exists(s.dir + "/runs") })
	status := s.ask("www.sock", page("/status", "full"), "")
	for _, want := range []string{
		"active processes:     1\n", "idle processes:       0\n", "state:                Running\n", "request URI:          /s.php?q=1\n", "script:               DIR/s.php\n",
	} {
		if !strings.Contains(status, want) {
			t.Errorf("the status lacks %q:\n%s", want, status)
		}
	}
	if pong := s.ask("www.sock", page("/ping", ""), ""); !strings.HasSuffix(pong, "\r\n\r\nhere\nstderr \"\", end {0 0}") {
		t.Errorf("ping: %q", pong)
	}
	waiting, err := net.Dial("unix", s.dir+"/www.sock") // the status counts requests that wait, also of unix sockets
	if err != nil {
		t.Fatal(err)
	}
	waiting.Close()
	if err := os.WriteFile(s.dir+"/go", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	<-answer
}

// TestFPMGetStatus: fpm_get_status() is the same array, with the same types, in a chroot, too.
func TestFPMGetStatus(t *testing.T) {
	t.Parallel()
	script := `<?php $s = fpm_get_status(); foreach (['start-time', 'start-since', 'listen-queue-len', 'max-listen-queue'] as $k) { $s[$k] = gettype($s[$k]); }
		foreach ($s['procs'] as &$p) { foreach (['pid', 'start-time', 'start-since', 'request-duration', 'last-request-cpu', 'last-request-memory'] as $k) { $p[$k] = gettype($p[$k]); }
		$p['script'] = basename($p['script']); } unset($p); usort($s['procs'], fn ($a, $b) => strcmp($a['state'], $b['state'])); var_dump($s);`
	for _, where := range []string{"", "chroot = DIR\n"} {
		if where != "" && os.Geteuid() != 0 {
			continue // chroot(2) is root's
		}
		config := "[global]\nerror_log = DIR/error.log\n[www]\nUSER\nlisten = DIR/www.sock\npm.status_path = /status\npm.status_listen = DIR/status.sock\n" +
			"pm = static\npm.max_children = 2\n" + where
		files := map[string]string{"s.php": script}
		fpm, own := newSide(t, "php-fpm", config, files), newSide(t, "phpserve", config, files)
		fpm.start()
		own.start()
		fpm.allIdle(2)
		own.allIdle(2)
		params := map[string]string{"QUERY_STRING": "a=1&b=\"", "HTTP_AUTHORIZATION": "Basic dTw+JiI6cA=="}
		if where != "" {
			params["SCRIPT_FILENAME"] = "/s.php"
		}
		if want, got := fpm.ask("www.sock", params, "body"), own.ask("www.sock", params, "body"); got != want || !strings.Contains(want, `string(7) "Running"`) {
			t.Errorf("%s\nphp-fpm:  %s\nphpserve: %s", where, want, got)
		}
	}
}

// TestFPMGetStatusIsForThePoolOnly: another user of the machine is told nothing.
func TestFPMGetStatusIsForThePoolOnly(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Log("started as an ordinary user: there is no other to ask as")
		return
	}
	s := startOwn(t, poolWith(), map[string]string{"s.php": `<?php echo bin2hex(serialize(fpm_get_status())), "|", file_get_contents((new ReflectionFunction('fpm_get_status'))->getFileName());`})
	_, preload, _ := strings.Cut(s.ask("www.sock", nil, ""), "|")
	address := regexp.MustCompile(`phpserve-status-[0-9a-f]{16}`).FindString(preload)
	if address == "" {
		t.Fatalf("no address in %s", preload)
	}
	nc, err := net.Dial("unix", "@"+address) // as root, who is not the pool's user
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if told, err := io.ReadAll(nc); err != nil || len(told) > 0 {
		t.Errorf("told %q, %v", told, err)
	}
}

// TestFPMAccessLogTellsMemory compares %M, the peak of a script's memory, also behind its response.
func TestFPMAccessLogTellsMemory(t *testing.T) {
	t.Parallel()
	config := "[global]\nerror_log = DIR/error.log\n[www]\nUSER\nlisten = DIR/www.sock\npm = static\npm.max_children = 1\n" +
		"access.log = DIR/access.log\naccess.format = %M %{kilobytes}M %{mega}M %s\nphp_value[memory_limit] = 64M\n"
	fpm, own := bothSides(t, config, []sideRequest{
		{name: "small", script: `echo 1;`},
		{name: "12 MB", script: `echo strlen(str_repeat("x", 12 << 20));`},
		{name: "after the response", script: `echo 1; fastcgi_finish_request(); $x = str_repeat("x", 8 << 20);`},
		{name: "exit", script: `$x = str_repeat("x", 4 << 20); exit(1);`},
		{name: "in a shutdown function", script: `register_shutdown_function(function () { $x = str_repeat("x", 8 << 20); });`},
		{name: "too much", script: `echo strlen(str_repeat("x", 80 << 20));`, fails: true},
	})
	fpm.stop(syscall.SIGTERM)
	own.stop(syscall.SIGTERM)
	compareFiles(t, fpm, own, "access.log")
}
