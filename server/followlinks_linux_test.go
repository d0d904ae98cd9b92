package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/phpserve/phpserve/internal/testfiles"
	"github.com/phpserve/phpserve/server/files"
)

func TestLinksAreFollowedToWhatBelongsToTheirOwnerOrToRoot(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to give files to others")
	}
	const tenant, other = "www-data", "nobody"
	eachEngine(t, func(t *testing.T, engine string) {
		for _, follow := range []string{files.FollowOwner, files.FollowYes, files.FollowNo} {
			t.Run(follow, func(t *testing.T) {
				links := map[string]string{ // name: target; whose they are is below
					"storage": "DIR/storage/app/public", "rel": "../storage/app/public", "index2.php": "../storage/app/public/page.php",
					"tenant-other.txt": "../other/a.txt", "tenant-otherdir": "../other", "tenant-root.txt": "../root/a.txt", "tenant-rootdir": "../root",
					"tenant-private.txt": "../root/private.txt", "tenant-passwd": "/etc/passwd", "tenant-all": "/", "tenant-proc": "/proc",
					"tenant-chain.txt": "../storage/to-other.txt", "tenant-nest": "../storage/nest",
					"root-root.txt": "../root/a.txt", "root-passwd.txt": "/etc/passwd", "root-other.txt": "../other/a.txt", "root-tenant.txt": "../storage/app/public/a.txt",
					"notes.txt": ".env", "notes2.txt": "../storage/.env", "source.txt": "index.php", "source2.txt": "../storage/app/public/page.php",
					"key.txt": "../storage/id_rsa", "git": "../storage/.git", "data.txt": "..data/a.txt", "app": "../storage/app/public",
				}
				ts := startServer(t, engine, map[string]string{"index.php": tellScript, ".env": "SECRET", "..data/a.txt": "data"}, func(c *Config) {
					root := c.Sites[0].Root
					base := filepath.Dir(root)
					c.Sites[0].FollowSymlinks, c.Sites[0].FrontController = follow, "index.php"
					testfiles.Put(t, base, map[string]string{
						"storage/app/public/a.txt": "public", "storage/app/public/page.php": tellScript, "storage/app/public/index.html": "index",
						"storage/.env": "SECRET", "storage/id_rsa": "SECRET", "storage/.git/config": "SECRET", "storage/nest/x": "",
						"other/a.txt": "others", "root/a.txt": "roots", "root/private.txt": "SECRET", "root/sub/others.txt": "others",
					})
					for link, target := range links {
						testfiles.Symlink(t, strings.ReplaceAll(target, "DIR", base), filepath.Join(root, link))
					}
					testfiles.Symlink(t, "../other/a.txt", filepath.Join(base, "storage/to-other.txt"))
					testfiles.Symlink(t, "../../other/a.txt", filepath.Join(base, "storage/nest/by-other.txt"))
					testfiles.Symlink(t, "../app/public/a.txt", filepath.Join(base, "storage/nest/other-tenant.txt"))
					testfiles.Own(t, tenant, root, filepath.Join(base, "storage"))
					testfiles.Own(t, other, filepath.Join(base, "other"), filepath.Join(base, "storage/nest/by-other.txt"),
						filepath.Join(base, "storage/nest/other-tenant.txt"), filepath.Join(base, "root/sub/others.txt"))
					for link := range links {
						if strings.HasPrefix(link, "root-") {
							testfiles.Own(t, "root", filepath.Join(root, link))
						}
					}
					if err := os.Chmod(filepath.Join(base, "root/private.txt"), 0o600); err != nil {
						t.Fatal(err)
					}
				})
				const never = ""
				for _, tt := range []struct{ path, owner, yes, no string }{
					{"/storage/a.txt", "public", "public", never},
					{"/rel/a.txt", "public", "public", never},
					{"/storage/page.php", "RAN /storage/page.php INFO -", "RAN /storage/page.php INFO -", never},
					{"/storage/page.php/info", "RAN /storage/page.php INFO /info", "RAN /storage/page.php INFO /info", never},
					{"/index2.php", "RAN /index2.php INFO -", "RAN /index2.php INFO -", never},
					{"/app/", "index", "index", never},
					{"/tenant-other.txt", never, "others", never},
					{"/tenant-otherdir/a.txt", never, "others", never},
					{"/tenant-otherdir/", never, "RAN /index.php INFO -", never},
					{"/tenant-otherdir/none", never, "RAN /index.php INFO -", never},
					{"/tenant-all/etc/", never, "RAN /index.php INFO -", never},
					{"/tenant-passwd/", never, "RAN /index.php INFO -", never},
					{"/tenant-root.txt", "roots", "roots", never},
					{"/tenant-rootdir/a.txt", "roots", "roots", never},
					{"/tenant-rootdir/sub/others.txt", never, "others", never},
					{"/tenant-private.txt", never, never, never},
					{"/tenant-passwd", never, "*", never},
					{"/tenant-all/etc/passwd", never, "*", never},
					{"/tenant-proc/version", never, "*", never},
					{"/tenant-chain.txt", never, "others", never},
					{"/tenant-nest/by-other.txt", "others", "others", never},
					{"/tenant-nest/other-tenant.txt", never, "public", never},
					{"/root-root.txt", "roots", "roots", never},
					{"/root-passwd.txt", "*", "*", never},
					{"/root-other.txt", never, "others", never},
					{"/root-tenant.txt", never, "public", never},
					// Links inside the root, and to names that are never served.
					{"/data.txt", "data", "data", "data"},
					{"/notes.txt", never, never, never},
					{"/notes2.txt", never, never, never},
					{"/source.txt", never, never, never},
					{"/source2.txt", never, never, never},
					{"/key.txt", never, never, never},
					{"/git/config", never, never, never},
				} {
					want := map[string]string{files.FollowOwner: tt.owner, files.FollowYes: tt.yes, files.FollowNo: tt.no}[follow]
					got := ts.get(tt.path, "Host", "localhost")
					switch {
					case want == never && (got.StatusCode < 403 || strings.Contains(got.body, "SECRET")):
						t.Errorf("GET %s = %d %q, want no answer", tt.path, got.StatusCode, got.body)
					case want != never && (got.StatusCode != 200 || want != "*" && got.body != want):
						t.Errorf("GET %s = %d %q, want %q", tt.path, got.StatusCode, got.body, want)
					}
				}
				if follow == files.FollowYes {
					return
				}
				// Page and log say that it is a link, and name the key. The log says it once.
				ts.get("/tenant-other.txt")
				page := ts.get("/tenant-other.txt", "Host", "localhost").body
				link := filepath.Join(ts.root, "tenant-other.txt")
				for _, want := range []string{"symbolic link " + link, "follow_symlinks"} {
					if !strings.Contains(page, want) {
						t.Errorf("the page does not say %q:\n%s", want, page)
					}
				}
				if n := strings.Count(page, "symbolic link "+link); n != 1 {
					t.Errorf("the page says it %d times:\n%s", n, page)
				}
				if want := "it belongs to " + tenant + " and what it leads to belongs to " + other; follow == files.FollowOwner && !strings.Contains(page, want) {
					t.Errorf("the page does not say %q:\n%s", want, page)
				}
				ts.log.waitForLines(t, 1, "link="+link+" ", "target="+filepath.Join(filepath.Dir(ts.root), "other/a.txt")+" ")
			})
		}
	})
}
