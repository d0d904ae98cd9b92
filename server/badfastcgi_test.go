package server

import (
	"fmt"
	"strings"
	"testing"
)

// rawScript writes bytes of its choice to the worker's own FastCGI connection, which php-cgi lets its children inherit.
// hex are the bytes; then says what the script does afterwards. The connection is the socket that was opened last.
const rawScript = `<?php
$fds = [];
foreach (scandir('/proc/self/fd') as $fd) {
	if ($fd > 0 && str_starts_with((string) @readlink("/proc/self/fd/$fd"), 'socket:')) { $fds[] = $fd; }
}
if (!$fds) { exit('no connection'); }
$pid = getmypid();
if (($_GET['head'] ?? '') !== '') { echo str_repeat('x', 40000); flush(); }
$p = proc_open(['sh', '-c', 'cat >&' . max($fds)], [['pipe', 'r']], $pipes);
fwrite($pipes[0], hex2bin($_GET['hex']));
fclose($pipes[0]);
proc_close($p);
if (($_GET['then'] ?? '') === 'kill') { posix_kill($pid, 9); }
echo 'end of the script';`

func TestBadInputMalformedFastCGIFromAWorker(t *testing.T) {
	t.Parallel()
	// Every worker is new, so that its request has the id 2: the greeting had the first.
	tests := []struct{ name, hex, then string }{
		{"version of another protocol", "0206000200000000", ""},
		{"text instead of a record", fmt.Sprintf("%x", "HTTP/1.1 200 OK\r\n\r\n"), ""},
		{"type that a worker does not send", "0101000200000000", ""},
		{"unknown type", "01ff000200000000", ""},
		{"id of another request", "0106000300000000", ""},
		{"management record", "0109000000000000", ""},
		{"END_REQUEST too short", "0103000200040000" + "00000000", ""},
		{"END_REQUEST too long", "0103000200100000" + strings.Repeat("00", 16), ""},
		{"END_REQUEST before any head", "0103000200080000" + strings.Repeat("00", 8), ""},
		{"record cut short by the worker's death", "01060002ffff0000" + "41", "kill"},
		{"header cut short by the worker's death", "010600", "kill"},
		{"head without an end, then END_REQUEST", "0106000200040000" + "583a2061" + "0103000200080000" + strings.Repeat("00", 8), ""},
		{"CVE-2025-23016 lengths that overflow", "01060002ffffff00" + strings.Repeat("ff", 64), "kill"},
	}
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{"raw.php": rawScript, "ok.php": tellScript}, func(c *Config) { c.Pools[0].MaxRequests = 1 })
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				got := askWire(t, ts, "POST", "/raw.php?hex="+tt.hex+"&then="+tt.then) // POST: never repeated
				if got.StatusCode != 502 {
					t.Errorf("got %d %q", got.StatusCode, got.body)
				}
				if got := askWire(t, ts, "GET", "/ok.php"); got.StatusCode != 200 {
					t.Errorf("afterwards: %d %q", got.StatusCode, got.body)
				}
			})
		}
		t.Run("in the middle of a response the connection breaks off", func(t *testing.T) {
			text := wire(t, ts, "POST /raw.php?head=1&hex=0206000100000000 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
			// What goes wrong before anything has been sent is an error page; what has begun must not look complete.
			if strings.HasPrefix(text, "HTTP/1.1 502 ") {
				return
			}
			if !strings.HasPrefix(text, "HTTP/1.1 200") || strings.HasSuffix(text, "0\r\n\r\n") {
				t.Errorf("the response looks complete: ...%q", text[max(0, len(text)-100):])
			}
		})
		eventually(t, "the pool is whole again", func() bool { return len(ts.pids()) == 2 && ts.pool().Stats().Idle == 2 })
	})
}
