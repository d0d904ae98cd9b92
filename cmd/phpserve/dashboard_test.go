//go:build unix

package main

import (
	"context"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/phpserve/phpserve/internal/patient"
)

// dashboardScripts are the site that the tests of the dashboard look at.
var dashboardScripts = map[string]string{
	"index.php": `<?php
class Catalogue {
    function products(int $n): string { return prices($n) . stock($n); }
}
function prices(int $n): string { for ($i = 0, $s = ''; $i < $n; $i++) { $s = md5($s . $i); } return $s; }
function stock(int $n): string { for ($i = 0, $s = ''; $i < 2 * $n; $i++) { $s = md5($s . $i); } return $s; }
usleep(random_int(0, 10000));
echo (new Catalogue)->products(3000);
`,
	"report.php": `<?php
function rates() { return remote(1); }
function remote(int $n) {
    while (!file_exists('go')) { sleep($n); clearstatcache(); }
    return [];
}
echo count(rates());
`,
	"basket.php": `<?php trigger_error('the basket <b>is gone</b>', E_USER_WARNING); throw new RuntimeException('no database');`,
	"hang.php":   `<?php touch('hangs'); while (!file_exists('go')) { usleep(10000); clearstatcache(); }`,
}

// tab is one of Chromium that notes what must not happen.
type tab struct {
	*testing.T
	ctx context.Context

	mu       sync.Mutex
	problems []string
}

// openTab starts Chromium.
func openTab(t *testing.T) *tab {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("apt-get install chromium fonts-dejavu-core: %v", err)
	}
	dir, err := os.MkdirTemp("", "phpserve-chromium-")
	if err != nil {
		t.Fatal(err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium), chromedp.NoSandbox, chromedp.UserDataDir(dir),
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("disable-component-update", true), chromedp.Env("HOME="+dir),
		chromedp.Flag("disable-features", "OptimizationHints,MediaRouter"), chromedp.Flag("proxy-server", "127.0.0.1:9"), // for all hosts but loopback
		chromedp.Flag("disable-domain-reliability", true), chromedp.WindowSize(1280, 1600), chromedp.WSURLReadTimeout(time.Until(patient.LastMoment())))
	ctx, endProcess := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, endTab := chromedp.NewContext(ctx, chromedp.WithErrorf(func(string, ...any) {})) // it does not know every event of a newer Chromium
	ctx, endTime := context.WithDeadline(ctx, patient.LastMoment())
	t.Cleanup(func() {
		endTime()
		endTab()
		endProcess()
		chromedp.FromContext(ctx).Allocator.Wait()
		eventually(t, "the rest of Chromium has ended", func() bool { return os.RemoveAll(dir) == nil })
	})
	b := &tab{T: t, ctx: ctx}
	chromedp.ListenTarget(ctx, b.note)
	b.do(network.Enable(), log.Enable(), runtime.Enable())
	return b
}

// note notes messages on the console and requests to others.
func (b *tab) note(event any) {
	problem := ""
	switch e := event.(type) {
	case *log.EventEntryAdded:
		problem = "log: " + e.Entry.Text + " " + e.Entry.URL
	case *runtime.EventConsoleAPICalled:
		problem = "console: " + e.Type.String()
	case *runtime.EventExceptionThrown:
		problem = "exception: " + e.ExceptionDetails.Error()
	case *network.EventRequestWillBeSent:
		if u, err := url.Parse(e.Request.URL); err != nil || u.Hostname() != "127.0.0.1" {
			problem = "request: " + e.Request.URL
		}
	}
	if problem != "" {
		b.mu.Lock()
		b.problems = append(b.problems, problem)
		b.mu.Unlock()
	}
}

func (b *tab) do(actions ...chromedp.Action) {
	b.Helper()
	if err := chromedp.Run(b.ctx, actions...); err != nil {
		b.Fatal(err)
	}
}

// text is what a person can read in an element.
func (b *tab) text(selector string) (text string) {
	b.Helper()
	b.do(chromedp.Evaluate(`[...document.querySelectorAll('`+selector+`')].map(e => e.innerText).join('\n')`, &text))
	return text
}

// shows waits until an element has all the texts.
func (b *tab) shows(selector string, texts ...string) {
	b.Helper()
	last := ""
	defer func() {
		if b.Failed() {
			b.Logf("%s is %q, want %q", selector, last, texts)
		}
	}()
	eventually(b.T, selector+" shows what it should", func() bool {
		last = b.text(selector)
		for _, want := range texts {
			if !strings.Contains(last, want) {
				return false
			}
		}
		return true
	})
}

// picture writes a screenshot of the whole page to the folder that PHPSERVE_TEST_PICTURES names, if it does: those of docs are made so.
func (b *tab) picture(name string) {
	b.Helper()
	dir := os.Getenv("PHPSERVE_TEST_PICTURES")
	if dir == "" {
		return
	}
	var png []byte
	b.do(chromedp.FullScreenshot(&png, 100))
	if err := os.WriteFile(filepath.Join(dir, name), png, 0o644); err != nil {
		b.Fatal(err)
	}
}

// dashboardSite serves the scripts and asks for them until the test ends.
func dashboardSite(t *testing.T) (s *instance, admin string) {
	t.Helper()
	dir := openFolder(t, "phpserve-dashboard-")
	for name, text := range dashboardScripts {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	config := "admin: 127.0.0.1:0\nrequest_slowlog_timeout: 2s\npm: static\npm.max_children: 4\nenv: [SHOP_PASSWORD=tell-nobody]\n"
	if err := os.WriteFile(filepath.Join(dir, "my.yaml"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil { // for what scripts write
		t.Fatal(err)
	}
	s = serve(t, dir, ".", "--config", "my.yaml", "--access-log", "off")
	m := adminRow.FindStringSubmatch(s.stdout.String())
	if m == nil {
		t.Fatalf("the first screen does not name the admin listener\n%s", s.stdout.String())
	}
	var load sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() { cancel(); load.Wait() })
	load.Go(func() {
		for ctx.Err() == nil {
			newVisitor(t, s.url).get(200, "/")
		}
	})
	return s, m[1]
}

// TestDashboard looks at every part of the page in Chromium, with real requests behind it.
func TestDashboard(t *testing.T) {
	t.Parallel()
	s, admin := dashboardSite(t)
	v := newVisitor(t, s.url)
	v.get(500, "/basket.php")
	var hanging sync.WaitGroup
	for _, path := range []string{"/report.php?month=<i>11</i>", "/hang.php"} {
		hanging.Go(func() { newVisitor(t, s.url).get(200, path) })
	}
	eventually(t, "the script hangs", func() bool { return exists(filepath.Join(s.cmd.Dir, "hangs")) })

	b := openTab(t)
	b.do(chromedp.Navigate(admin + "/"))
	b.shows("#state", "live")
	b.shows("#pool-rows", "www", "static, zygote", "/ 4 / 4", "ms")
	b.shows("#charts", "Requests per second", "p50", "p99", "busy", "MiB")
	eventually(t, "the charts have lines", func() bool {
		var lines int
		b.do(chromedp.Evaluate(`[...document.querySelectorAll('#charts path[class^=s]')].filter(p => (p.getAttribute('d') ?? '').split('L').length > 3).length`, &lines))
		return lines == 10
	})
	b.shows("#worker-rows", "/hang.php", "Running", "127.0.0.1", "MiB")
	// What clients and scripts chose is text, whatever is in it.
	b.shows("#slow-list summary", "GET /report.php?month=", "sleep at "+filepath.Join(s.cmd.Dir, "report.php")+":4")
	b.shows("#error-list summary", "the basket <b>is gone</b>", "Uncaught RuntimeException: no database")
	b.shows("#opcache-list", "Memory used", "Hit rate", "Scripts")
	b.shows("#config-list", "Server", "Site for any host", "Pool www")
	var config string
	b.do(chromedp.Evaluate(`document.querySelector('#config-list').textContent`, &config))
	for want, there := range map[string]bool{"pm.max_children4": true, "env[SHOP_PASSWORD](not shown)": true, "tell-nobody": false} {
		if strings.Contains(config, want) != there {
			t.Errorf("the configuration has %q: %v\n%s", want, !there, config)
		}
	}

	// The stack of a worker that runs, by keyboard alone.
	b.do(chromedp.SendKeys("#filter", "hang"))
	b.shows("#worker-rows", "/hang.php")
	b.do(chromedp.Focus("#worker-rows button.link"), chromedp.KeyEvent("\r"))
	b.shows("#stack-text", "request = GET /hang.php", "usleep", "hang.php:1")
	b.do(chromedp.Click("#stack-close"))

	b.do(chromedp.SetValue("#profile-seconds", "2"), chromedp.Click("#profile-start"))
	b.shows("#profile-state", "samples.")
	eventually(t, "the flame graph is shown", func() bool {
		var graph string
		b.do(chromedp.Evaluate(`document.querySelector('#profile-graph iframe')?.contentDocument?.documentElement?.textContent ?? ''`, &graph))
		return strings.Contains(graph, "products") && strings.Contains(graph, "stock")
	})
	for _, form := range []string{".pprof", ".folded"} {
		if status, text := askAdmin(t, admin, "/api/profiles/1"+form); status != 200 || text == "" {
			t.Errorf("%s: %d %s", form, status, text)
		}
	}

	b.do(chromedp.Evaluate(`document.querySelector('#filter').value = ''; document.querySelector('#filter').dispatchEvent(new Event('input')); document.querySelector('#slow-list details').open = true`, nil))
	b.picture("dashboard-light.png")
	b.do(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}))
	var dark string
	b.do(chromedp.Evaluate(`getComputedStyle(document.body).backgroundColor`, &dark))
	if dark != "rgb(20, 23, 27)" {
		t.Errorf("in the dark the page is %s", dark)
	}
	b.picture("dashboard-dark.png")
	// A telephone: the page itself does not scroll sideways.
	b.do(chromedp.EmulateViewport(360, 740))
	var wide int
	b.do(chromedp.Evaluate(`document.documentElement.scrollWidth`, &wide))
	if wide > 360 {
		t.Errorf("on 360 points the page is %d wide", wide)
	}
	b.picture("dashboard-narrow.png")

	if err := os.WriteFile(filepath.Join(s.cmd.Dir, "go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	hanging.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.problems) > 0 {
		t.Errorf("the browser says %q", b.problems)
	}
}
