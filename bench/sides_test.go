package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestFairKeepaliveNeverHoldsAllWorkers(t *testing.T) {
	for workers := 2; workers <= 64; workers++ {
		for cpus := 1; cpus <= 64; cpus++ {
			processes, keepalive := fairKeepalive(workers, cpus)
			if processes < 1 || processes > cpus || keepalive < 1 || processes*keepalive >= workers {
				t.Errorf("fairKeepalive(%d, %d) = %d, %d", workers, cpus, processes, keepalive)
			}
		}
	}
}

func TestNginxSidesDifferInTheUpstreamConnectionOnly(t *testing.T) {
	read := func(name string) string {
		dir := filepath.Join(t.TempDir(), "side")
		s, err := newNginxSide(name, options{workers: 4}, tools{}, dir, "/srv/site")
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(dir, "nginx.conf"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.NewReplacer(dir, "DIR", s.address, "ADDRESS").Replace(string(text))
	}
	perRequest, kept := read(sideNginx), read(sideNginxKeepalive)
	var added []string
	for line := range strings.Lines(kept) {
		if !strings.Contains(perRequest, line) {
			added = append(added, strings.Fields(line)[0])
		}
	}
	want := []string{"worker_processes", "keepalive", "keepalive_requests", "fastcgi_keep_conn"}
	if !slices.Equal(added, want) {
		t.Errorf("directives of the kept-alive side alone = %v, want %v", added, want)
	}
}

func TestPhpserveSideRunsAsDocumented(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "side")
	t.Setenv("PHPSERVE_WORKERS", "1")
	s, err := newPhpserveSide(sidePhpserve, options{workers: 4}, tools{phpserve: "/usr/bin/phpserve"}, dir, "/srv/site")
	if err != nil {
		t.Fatal(err)
	}
	got := strings.NewReplacer(dir, "DIR", s.address, "ADDRESS").Replace(s.servers[0].String())
	const want = "/usr/bin/phpserve run /srv/site --config DIR/phpserve.yaml --listen ADDRESS --workers 4 --pm static --access-log DIR/access.log"
	if got != want {
		t.Errorf("command = %s, want %s", got, want)
	}
	for _, variable := range s.servers[0].env {
		if strings.HasPrefix(variable, "PHPSERVE_") {
			t.Errorf("environment has %s", variable)
		}
	}
}

func TestLoopsForScalesToTheTarget(t *testing.T) {
	tests := []struct {
		took time.Duration
		want int
	}{
		{4 * time.Millisecond, 25000},
		{5 * time.Millisecond, 20000},
		{3 * time.Millisecond, 33000},
		{100 * time.Second, 1},
	}
	for _, test := range tests {
		if got := loopsFor(test.took, cpuTarget); got != test.want {
			t.Errorf("loopsFor(%v) = %d, want %d", test.took, got, test.want)
		}
	}
}

func TestSiteScriptsAreOlderThanOpcachesUpdateProtection(t *testing.T) {
	root := filepath.Join(t.TempDir(), "site")
	scripts, err := writeSite(root, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range allScripts() {
		info, err := os.Stat(filepath.Join(root, scripts[name].path))
		if err != nil {
			t.Fatal(err)
		}
		if age := time.Since(info.ModTime()); age < time.Minute {
			t.Errorf("%s is %v old", scripts[name].path, age)
		}
	}
	if got := len(scripts[scriptLarge].body); got != largeSize {
		t.Errorf("large body has %d bytes, want %d", got, largeSize)
	}
}
