package server

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/phpserve/phpserve/internal/testfiles"
)

// Worker modes of other servers kept $_SESSION for the next client of a worker (CVE-2026-24894, GHSA-v3ph-cgqh-r8p5).
func TestBadInputSessionIsNotTheNextClients(t *testing.T) {
	t.Parallel()
	const script = `<?php session_start(); $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1; $GLOBALS['kept'] ??= 0; $GLOBALS['kept']++;
		class C { static $s = 0; } C::$s++; putenv('KEPT=' . getenv('KEPT') . 'x'); ini_set('precision', (string) (ini_get('precision') + 1));
		echo session_id(), ' ', $_SESSION['n'], ' ', $GLOBALS['kept'], ' ', C::$s, ' ', getenv('KEPT'), ' ', ini_get('precision'), ' ', getmypid();`
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, map[string]string{"s.php": script}, func(c *Config) {
			sessions := filepath.Join(filepath.Dir(c.Sites[0].Root), "sessions")
			if err := os.Mkdir(sessions, 0o777); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(sessions, 0o777); err != nil {
				t.Fatal(err)
			}
			c.Pools[0].MaxChildren, c.Pools[0].PHPValue = 1, []string{"session.save_path=" + sessions, "precision=14"}
		})
		ids := map[string]bool{}
		for range 4 {
			first := strings.Fields(askWire(t, ts, "GET", "/s.php").body)
			if len(first) != 7 {
				t.Fatalf("got %q", first)
			}
			if ids[first[0]] {
				t.Errorf("session %s was given to two clients", first[0])
			}
			ids[first[0]] = true
			again := strings.Fields(askWire(t, ts, "GET", "/s.php", "Cookie", "PHPSESSID="+first[0]).body)
			for i, got := range [][]string{first, again} {
				want := fmt.Sprintf("%s %d 1 1 x 15 %s", first[0], i+1, first[6])
				if strings.Join(got, " ") != want {
					t.Errorf("got %q, want %q", got, want)
				}
			}
		}
	})
}

// Browsers send names of other scripts in Punycode, in any spelling of case and with a dot at the end or not.
func TestSitesWithUnicodeHostsAreFoundByTheNamesThatBrowsersSend(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		ts := startServer(t, engine, nil, func(c *Config) {
			first := c.Sites[0]
			c.Sites = nil
			for i, hosts := range [][]string{{"first.test"}, {"BÜCHER.test", "faß.test"}, {"*.bücher.test"}, {"xn--e1afmkfd.test"}, {"例え.test."}} {
				s := first
				s.Root, s.Hosts = filepath.Join(first.Root, fmt.Sprint(i)), hosts
				testfiles.Put(t, s.Root, map[string]string{"index.php": fmt.Sprintf(`<?php echo %d, ' ', $_SERVER['HTTP_HOST'], ' ', $_SERVER['SERVER_NAME'];`, i)})
				c.Sites = append(c.Sites, s)
			}
		})
		for host, want := range map[string]int{
			"xn--bcher-kva.test": 1, "XN--BCHER-KVA.TEST": 1, "xn--bcher-kva.test.": 1, "xn--bcher-kva.test:81": 1, "xn--bcher-kva.test.:81": 1,
			"xn--fa-hia.test": 1, "fass.test": 0, "a.xn--bcher-kva.test": 2, "A.XN--BCHER-KVA.TEST.:8443": 2, "xn--e1afmkfd.test": 3,
			"xn--r8jz45g.test": 4, "xn--r8jz45g.test.": 4, "bcher.test": 0, "a.b.xn--bcher-kva.test": 0,
		} {
			name, _, _ := strings.Cut(host, ":")
			all := answers(t, wire(t, ts, "GET / HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n"), "GET")
			if len(all) != 1 || all[0].body != fmt.Sprintf("%d %s %s", want, host, name) {
				t.Errorf("%s: got %v, want site %d", host, all, want)
			}
		}
	})
}
