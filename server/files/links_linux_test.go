package files

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/phpserve/phpserve/internal/testfiles"
	"golang.org/x/sys/unix"
)

// TestLinksOfDebianPackages has the layouts of mediawiki, roundcube, phpmyadmin and wordpress, with their own links.
func TestLinksOfDebianPackages(t *testing.T) {
	t.Parallel()
	base := testfiles.TempDir(t)
	for link, target := range map[string]string{
		"var/lib/mediawiki/index.php": "/usr/share/mediawiki/index.php", "var/lib/mediawiki/includes": "/usr/share/mediawiki/includes",
		"var/lib/mediawiki/resources": "/usr/share/mediawiki/resources", "var/lib/mediawiki/LocalSettings.php": "/etc/mediawiki/LocalSettings.php",
		"var/lib/mediawiki/extensions/Cite": "/usr/share/mediawiki/extensions-core/Cite", "usr/share/mediawiki/extensions": "/var/lib/mediawiki/extensions",
		"var/lib/roundcube/index.php": "/usr/share/roundcube/index.php", "var/lib/roundcube/program": "/usr/share/roundcube/program",
		"var/lib/roundcube/public_html/program/js": "../../program/js", "var/lib/roundcube/public_html/plugins": "../plugins",
		"var/lib/roundcube/plugins/jqueryui": "/usr/share/roundcube/plugins/jqueryui", "var/lib/roundcube/public_html/skins": "../skins",
		"var/lib/roundcube/skins/elastic": "/usr/share/roundcube/skins/elastic", "usr/share/roundcube/plugins/jqueryui/js/i18n": "../../../../javascript/jquery-ui/ui/i18n",
		"usr/share/roundcube/program/js/jquery.min.js": "../../../javascript/jquery/jquery.min.js", "usr/share/roundcube/plugins/jqueryui/config.inc.php": "/etc/roundcube/plugins/jqueryui/config.inc.php",
		"var/lib/roundcube/config": "/etc/roundcube", "var/lib/roundcube/public_html/.htaccess": "../.htaccess", "var/lib/roundcube/.htaccess": "/etc/roundcube/htaccess",
		"usr/share/phpmyadmin/doc/html": "../../doc/phpmyadmin/html", "usr/share/doc/phpmyadmin/html/_static/jquery.js": "../../../../javascript/sphinxdoc/1.0/jquery.js",
		"usr/share/wordpress/wp-includes/js/crop/cropper.js": "../../../../javascript/cropper/cropper.js",
		"usr/share/wordpress/wp-includes/ID3/getid3.php":     "../../../php/getid3/getid3.php",
	} {
		path := filepath.Join(base, link)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if target[0] == '/' {
			target = base + target
		}
		testfiles.Symlink(t, target, path)
	}
	testfiles.PutNames(t, base, "usr/share/mediawiki/index.php", "usr/share/mediawiki/includes/x.php", "usr/share/mediawiki/resources/a.css", "etc/mediawiki/LocalSettings.php",
		"usr/share/mediawiki/extensions-core/Cite/modules/a.js", "usr/share/roundcube/index.php", "usr/share/javascript/jquery/jquery.min.js",
		"usr/share/javascript/jquery-ui/ui/i18n/de.js", "etc/roundcube/plugins/jqueryui/config.inc.php", "usr/share/roundcube/skins/elastic/a.css", "etc/roundcube/htaccess",
		"usr/share/javascript/sphinxdoc/1.0/jquery.js", "usr/share/javascript/cropper/cropper.js", "usr/share/php/getid3/getid3.php")
	for root, files := range map[string]map[string]string{
		"var/lib/mediawiki": {
			"/index.php": "usr/share/mediawiki/index.php", "/includes/x.php": "usr/share/mediawiki/includes/x.php", "/resources/a.css": "usr/share/mediawiki/resources/a.css",
			"/extensions/Cite/modules/a.js": "usr/share/mediawiki/extensions-core/Cite/modules/a.js", "/LocalSettings.php": "etc/mediawiki/LocalSettings.php",
		},
		"usr/share/mediawiki": {"/extensions/Cite/modules/a.js": "usr/share/mediawiki/extensions-core/Cite/modules/a.js"},
		"var/lib/roundcube/public_html": {
			"/program/js/jquery.min.js": "usr/share/javascript/jquery/jquery.min.js", "/plugins/jqueryui/js/i18n/de.js": "usr/share/javascript/jquery-ui/ui/i18n/de.js",
			"/skins/elastic/a.css": "usr/share/roundcube/skins/elastic/a.css", "/plugins/jqueryui/config.inc.php": "etc/roundcube/plugins/jqueryui/config.inc.php",
		},
		"var/lib/roundcube":    {"/index.php": "usr/share/roundcube/index.php"},
		"usr/share/phpmyadmin": {"/doc/html/_static/jquery.js": "usr/share/javascript/sphinxdoc/1.0/jquery.js"},
		"usr/share/wordpress":  {"/wp-includes/js/crop/cropper.js": "usr/share/javascript/cropper/cropper.js", "/wp-includes/ID3/getid3.php": "usr/share/php/getid3/getid3.php"},
	} {
		opts := Options{Links: linksOwner, Protect: NewProtection([]string{DenyDefault}, []string{".php"})}
		eachRoot(t, filepath.Join(base, root), opts, func(t *testing.T, d lookerUpper) {
			for url, target := range files {
				want, err := os.Stat(filepath.Join(base, target))
				if err != nil {
					t.Fatal(err)
				}
				_, ino := fileIDs(want)
				if fnd, err := d.Lookup(url); err != nil || fnd.ino != ino || fnd.Path != filepath.Join(base, root)+url {
					t.Errorf("%s%s: %+v, %v", root, url, fnd, err)
				}
			}
			if _, err := d.Lookup("/config/none.php"); errors.Is(err, ErrOutsideRoot) {
				t.Errorf("%s: %v", root, err)
			}
		})
	}
}

func TestLinkRule(t *testing.T) {
	const alice, bob = 1000, 1001
	type link struct {
		owner  uint32
		target string
		to     uint32
	}
	for _, tt := range []struct {
		name  string
		links []link
		end   string
		owner uint32
		ok    bool
	}{
		{"own", []link{{alice, "/home/alice/x", alice}}, "/home/alice/x", alice, true},
		{"another's", []link{{alice, "/home/bob/x", bob}}, "/home/bob/x", bob, false},
		{"root's to root's", []link{{0, "/etc/x", 0}}, "/etc/x", 0, true},
		{"root's to a user's", []link{{0, "/home/bob/x", bob}}, "/home/bob/x", bob, false},
		{"inside the root, whoever's", []link{{alice, "/srv/www/x", bob}}, "/srv/www/x", bob, true},
		{"to root's", []link{{alice, "/usr/share/x", 0}}, "/usr/share/x/y", 0, true},
		{"to root's folder and the user's own file", []link{{alice, "/home", 0}}, "/home/alice/x", alice, true},
		{"to root's folder and another's file", []link{{alice, "/home", 0}}, "/home/bob/x", bob, false},
		{"to passwords", []link{{alice, "/etc/passwd", 0}}, "/etc/passwd", 0, false},
		{"to passwords by way of /", []link{{alice, "/", 0}}, "/etc/passwd", 0, false},
		{"to a folder that begins like one of the system", []link{{alice, "/etcetera", 0}}, "/etcetera/x", 0, true},
		{"own, then another's", []link{{alice, "/home/alice/x", alice}, {alice, "/home/bob/x", bob}}, "/home/bob/x", bob, false},
	} {
		rule := linkRule{root: "/srv/www"}
		var err error
		for _, l := range tt.links {
			if err == nil {
				err = rule.follow("/srv/www/link", l.owner, l.target, l.to)
			}
		}
		if err == nil {
			err = rule.end(tt.end, tt.owner)
		}
		if (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrOutsideRoot) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestLinksInALoopOrWithoutEndAreNotFound(t *testing.T) {
	top := testfiles.TempDir(t)
	dir := filepath.Join(top, "www")
	testfiles.PutNames(t, top, "www/", "out/end.txt")
	testfiles.Symlink(t, "../out/l0", filepath.Join(dir, "many"))
	for i := range 60 {
		testfiles.Symlink(t, "l"+strconv.Itoa(i+1), filepath.Join(top, "out/l"+strconv.Itoa(i)))
	}
	testfiles.Symlink(t, "end.txt", filepath.Join(top, "out/l60"))
	testfiles.Symlink(t, "../out/a", filepath.Join(dir, "loop"))
	testfiles.Symlink(t, "b", filepath.Join(top, "out/a"))
	testfiles.Symlink(t, "a", filepath.Join(top, "out/b"))
	testfiles.Symlink(t, "../out/end.txt", filepath.Join(dir, "file"))
	testfiles.Symlink(t, "../out/gone", filepath.Join(dir, "dangling"))
	eachRoot(t, dir, Options{Links: linksOwner}, func(t *testing.T, d lookerUpper) {
		for _, url := range []string{"/many", "/loop", "/loop/x", "/file/", "/file/x", "/dangling", "/dangling/x"} {
			if fnd, err := d.Lookup(url); lookupError(url, err) == nil || errors.Is(err, ErrOutsideRoot) || !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("lookup(%q) = %+v, %v", url, fnd, err)
			}
		}
		if _, err := d.Lookup("/file"); err != nil {
			t.Errorf("lookup(/file) = %v", err)
		}
	})
}

// TestNothingBehindALinkThatIsNotFollowedIsFound: not with a slash behind it, and neither what exists nor what does not. The error names
// the link and its real target.
func TestNothingBehindALinkThatIsNotFollowedIsFound(t *testing.T) {
	t.Parallel()
	top := testfiles.TempDir(t)
	dir := filepath.Join(top, "www")
	testfiles.PutNames(t, top, "www/in/side/", "out/a.txt", "out/x.php", "out/sub/b.txt", "hidden/.git/config")
	for link, target := range map[string]string{
		"www/folder": "../out", "www/absolute": top + "/out", "www/chain": "folder", "www/in/side/up": "../../../out", "www/file.txt": "../out/a.txt",
		"www/step": "in/side/up/sub", "www/alias": "in/side", "www/git": "../hidden/.git", "www/climbs": "in/../../out", "www/dangling": "../none",
	} {
		testfiles.Symlink(t, target, filepath.Join(top, link))
	}
	refused := map[string][2]string{ // by URL: link and target
		"/folder": {"www/folder", "out"}, "/absolute": {"www/absolute", "out"}, "/chain": {"www/chain", "out"}, "/in/side/up": {"www/in/side/up", "out"},
		"/alias/up": {"www/alias/up", "out"}, "/climbs": {"www/climbs", "out"}, "/step": {"www/step", "out/sub"}, "/git": {"www/git", "hidden/.git"},
	}
	eachRoot(t, dir, Options{Links: linksInside, Protect: NewProtection([]string{DenyDefault}, []string{".php"})}, func(t *testing.T, d lookerUpper) {
		for url, want := range refused {
			for _, behind := range []string{"", "/", "/a.txt", "/a.txt/", "/x.php", "/x.php/info", "/sub", "/sub/b.txt", "/none", "/none/", "/none/more/of/it", "/index.php"} {
				_, err := d.Lookup(url + behind)
				var link *LinkError
				if !errors.As(err, &link) || link.link != filepath.Join(top, want[0]) || link.target != filepath.Join(top, want[1]) {
					t.Errorf("lookup(%q) = %v, want the link %s to %s", url+behind, err, want[0], want[1])
				}
			}
		}
		var link *LinkError
		if _, err := d.Lookup("/file.txt/"); !errors.As(err, &link) || link.target != filepath.Join(top, "out/a.txt") {
			t.Errorf("lookup(/file.txt/) = %v", err)
		}
		for _, url := range []string{"/in/side/none", "/alias/none", "/none/x", "/dangling", "/dangling/x"} {
			if _, err := d.Lookup(url); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("lookup(%q) = %v, want not found", url, err)
			}
		}
	})
	eachRoot(t, dir, Options{Links: linksAll}, func(t *testing.T, d lookerUpper) {
		for url := range refused {
			if _, err := d.Lookup(url + "/none"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("lookup(%q) = %v, want not found", url+"/none", err)
			}
		}
	})
}

// TestLinkSwappedMeanwhileNeverLeadsToAnothersFile is the race between check and use.
func TestLinkSwappedMeanwhileNeverLeadsToAnothersFile(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to give files to others")
	}
	top := testfiles.TempDir(t)
	dir := filepath.Join(top, "www")
	testfiles.PutNames(t, top, "www/", "own/key", "other/key")
	testfiles.Own(t, "nobody", filepath.Join(top, "other"))
	testfiles.Symlink(t, "../own", filepath.Join(dir, "a"))
	testfiles.Symlink(t, "../other", filepath.Join(dir, "b"))
	secret, err := os.Stat(filepath.Join(top, "other/key"))
	if err != nil {
		t.Fatal(err)
	}
	_, ino := fileIDs(secret)
	d := testRoot(t, dir, Options{Links: linksOwner})
	var stop atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for !stop.Load() {
			if err := unix.Renameat2(unix.AT_FDCWD, dir+"/a", unix.AT_FDCWD, dir+"/b", unix.RENAME_EXCHANGE); err != nil {
				t.Errorf("cannot exchange: %v", err)
				return
			}
		}
	})
	defer wg.Wait()
	defer stop.Store(true)
	seen := map[string]bool{}
	for !seen["own"] || !seen["refused"] {
		for range 2000 {
			f, fnd, err := d.Open("/a/key")
			switch {
			case err == nil:
				_ = f.Close()
				seen["own"] = true
				if fnd.ino == ino {
					t.Error("opened another's file")
				}
			case errors.Is(err, ErrOutsideRoot):
				seen["refused"] = true
			default:
				t.Fatal(err)
			}
		}
	}
}
