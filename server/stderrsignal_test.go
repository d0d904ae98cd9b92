package server

import (
	"fmt"
	"strings"
	"testing"

	"github.com/phpserve/phpserve/internal/testfiles"
)

func TestSignalsAreTakenOutOfTheMessages(t *testing.T) {
	t.Parallel()
	const token = "phpserve-finish-0123"
	for _, tt := range []struct {
		in, messages string
		finish       bool
		peak         uint64
	}{
		{"PHP Warning: x\n", "PHP Warning: x\n", false, 0},
		{token + "\n", "", true, 0},
		{token + "=2097152;\n", "", false, 2097152},
		{"a\n" + token + "\nb\n" + token + "=7;\nc\n", "a\nb\nc\n", true, 7},
		{token + "=;\n", "=;\n", true, 0},
		{token + "=99999999999999999999;" + token + "=-1;" + token + "=x;", "", false, 0},
		{"", "", false, 0},
	} {
		messages, s := takeSignals([]byte(tt.in), []byte(token))
		if string(messages) != tt.messages || s.finish != tt.finish || s.peak != tt.peak {
			t.Errorf("%q: got %q, %+v", tt.in, messages, s)
		}
	}
}

// TestSignalsAreFoundWhereverPHPBeginsANewRecord cuts the same text at each place, as php-cgi does where its buffer is full.
func TestSignalsAreFoundWhereverPHPBeginsANewRecord(t *testing.T) {
	t.Parallel()
	const token = "phpserve-finish-0123"
	for _, in := range []string{
		token + "\n", token + "=2097152;\n", "a\n" + token + "\nb\n" + token + "=7;\nc\n", "stop", "php phpserve-finish-012", token + "=7;\n" + token + "\n",
		token + "=99999999999999999999999999\n", "a phpserve-finish-phpserve-finish-0123\n",
	} {
		whole, want := takeSignals([]byte(in), []byte(token))
		for size := 1; size <= len(in); size++ {
			for first := range size {
				var h signalScanner
				var got stderrSignals
				var messages strings.Builder
				add := func(m []byte, s stderrSignals) {
					messages.Write(m)
					got.finish, got.peak = got.finish || s.finish, max(got.peak, s.peak)
				}
				add(h.take([]byte(in[:first]), []byte(token)))
				for at := first; at < len(in); at += size {
					add(h.take([]byte(in[at:min(at+size, len(in))]), []byte(token)))
				}
				add(h.rest([]byte(token)))
				if messages.String() != string(whole) || got != want {
					t.Errorf("%q in pieces of %d and then %d: %q, %+v, want %q, %+v", in, first, size, messages.String(), got, whole, want)
				}
			}
		}
	}
}

// TestASplitFinishEndsTheResponse fills php-cgi's buffer so that the signal of fastcgi_finish_request() lies across its end.
func TestASplitFinishEndsTheResponse(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{
			"index.php": `<?php
			error_log(str_repeat('m', (int) $_GET['n'])); echo 'served'; fastcgi_finish_request();
			while (!file_exists(__DIR__ . '/go-' . $_GET['n'])) { usleep(1000); clearstatcache(); }`,
		}, func(c *Config) { c.Pools[0].MaxChildren = 1 })
		for n := 8192 - 140; n < 8192; n += 5 {
			if got := ts.get(fmt.Sprintf("/?n=%d", n)).body; got != "served" { // while the script goes on
				t.Errorf("%d bytes: %q", n, got)
			}
			testfiles.Put(t, ts.root, map[string]string{fmt.Sprintf("go-%d", n): ""})
		}
		if strings.Contains(ts.log.String(), "phpserve-finish") {
			t.Error("a signal is in the log")
		}
	})
}
