package server

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// openSpoolFiles are the sizes of this process's files in a spool folder, which have no name.
func openSpoolFiles(t *testing.T, dir string) (sizes []int64) {
	t.Helper()
	fds, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err != nil || !strings.HasPrefix(to, dir+"/") { // others come and go meanwhile
			continue
		}
		if info, err := os.Stat(fd); err == nil {
			sizes = append(sizes, info.Size())
		}
	}
	return sizes
}

// A reader that is always a little behind must not let the file become as large as the response.
func TestResponseToASlowReaderTakesNoMoreDiskThanAllowed(t *testing.T) {
	t.Parallel()
	const disk, size = 1 << 20, 32 << 20
	eachEngine(t, func(t *testing.T, engine string) {
		dir := t.TempDir()
		ts := startServer(t, engine, map[string]string{"big.php": bigScript}, func(c *Config) {
			c.SpoolDir, c.SpoolMemory, c.SpoolDisk = dir, 64<<10, disk
		})
		conn := connect(t, ts)
		if err := conn.SetReadBuffer(64 << 10); err != nil {
			t.Fatal(err)
		}
		send(t, conn, "GET /big.php HTTP/1.0\r\nHost: a\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		total, largest := int64(0), int64(0)
		eventually(t, "the reader is behind", func() bool {
			for _, size := range openSpoolFiles(t, dir) {
				largest = max(largest, size)
			}
			return largest > 0
		})
		for buf := make([]byte, 128<<10); err == nil; {
			var n int
			n, err = io.ReadFull(resp.Body, buf)
			if bad := strings.Trim(string(buf[:n]), "x"); bad != "" {
				t.Fatalf("after %d bytes: %.20q", total, bad)
			}
			total += int64(n)
			for _, size := range openSpoolFiles(t, dir) {
				largest = max(largest, size)
			}
		}
		if total != size || largest > disk || largest == 0 {
			t.Errorf("%d bytes arrived (%v), the file took up to %d of %d", total, err, largest, disk)
		}
		eventually(t, "the file is given back", func() bool { return len(openSpoolFiles(t, dir)) == 0 })
	})
}

func TestResponseSpoolsOfOneClientLeaveRoomForOthers(t *testing.T) {
	t.Parallel()
	const greedy, other, size = "192.0.2.1", "192.0.2.2", 24 << 20
	script := fmt.Sprintf(`<?php while (ob_get_level()) { ob_end_clean(); } for ($i = 0; $i < %d; $i++) { echo str_repeat(chr(65 + $i %% 26), 65536); }`, size>>16)
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{"big.php": script}, func(c *Config) {
			behindProxy(c)
			c.Pools[0].MaxChildren, c.SpoolDir = 4, t.TempDir()
			c.SpoolMemoryTotal, c.SpoolDisk, c.SpoolResponses = 1<<20, 2<<20, 4<<20
		})
		ask := func(client string) *bufio.Reader {
			conn := connect(t, ts)
			send(t, conn, "GET /big.php HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Forwarded-For: "+client+"\r\n\r\n")
			return bufio.NewReader(conn)
		}
		whole := func(r *bufio.Reader) error {
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil || len(body) != size || !strings.HasPrefix(string(body[3<<16:]), "DDD") {
				return fmt.Errorf("%d bytes, %w", len(body), err)
			}
			return nil
		}
		var stuck []*bufio.Reader
		for range 3 {
			stuck = append(stuck, ask(greedy))
		}
		eventually(t, "they have what there is for one client", func() bool { return ts.spools.Responses.Taken() == 1<<20 })
		for range 3 {
			if err := whole(ask(other)); err != nil {
				t.Errorf("another client: %v", err)
			}
		}
		// The last of the others may have all of its response before its handler has given back what it took.
		eventually(t, "what is taken is what the first one has", func() bool { return ts.spools.Responses.Taken() == 1<<20 })
		for _, r := range stuck {
			if err := whole(r); err != nil {
				t.Errorf("one that reads at last: %v", err)
			}
		}
		eventually(t, "all is given back", func() bool { return ts.spools.Responses.Taken() == 0 && ts.spools.Memory.Taken() == 0 })
		if log := ts.log.String(); strings.Contains(log, "worker ended") && strings.Contains(log, "while=killed") {
			t.Errorf("a worker was killed:\n%s", log)
		}
	})
}
