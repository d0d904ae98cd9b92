package main

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/phpserve/phpserve/internal/patient"
)

// dokuWikiConfig is what docs/configuration.md recommends for DokuWiki, which protects its folders with .htaccess files
// under Apache.
const dokuWikiConfig = `root: wiki
front_controller: off
deny: ["@default", /data/, /conf/, /bin/, /inc/]
`

// copyDokuWiki makes a fresh DokuWiki as its own archive has it, from Debian's package, which spreads it over the system.
func copyDokuWiki(t *testing.T) (dir string) {
	t.Helper()
	const installed, configured = "/usr/share/dokuwiki", "/etc/dokuwiki"
	for _, need := range []string{installed + "/doku.php", configured + "/dokuwiki.php"} {
		if !exists(need) {
			t.Fatalf("no %s: apt-get install --no-install-recommends dokuwiki php-xml", need)
		}
	}
	dir = openFolder(t, "phpserve-wiki-")
	wiki, conf := filepath.Join(dir, "wiki"), filepath.Join(dir, "wiki", "conf")
	// Not Debian's settings and users, and not the file that points to them.
	script := `set -e
		cp -rL "$1" "$2" && rm -f "$2/.htaccess" "$2/inc/preload.php" && mkdir "$3"
		for file in "$4"/*; do
			case $file in */local.php|*.auth.php|*/apache.conf|*/lighttpd.conf|*/htaccess) ;; *) cp -L "$file" "$3" ;; esac
		done
		for folder in attic cache index locks log media media_attic media_meta meta pages tmp; do mkdir -p "$2/data/$folder"; done
		sed -i "s#'/var/lib/dokuwiki/data'#'./data'#" "$3/dokuwiki.php"
		if grep -r /var/lib/dokuwiki "$3"; then exit 1; fi
		chmod -R a+rwX "$2"`
	if out, err := exec.Command("/bin/sh", "-c", script, "sh", installed, wiki, conf, configured).CombinedOutput(); err != nil {
		t.Fatalf("cannot copy DokuWiki: %v\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "wiki.yaml"), []byte(dokuWikiConfig), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestDokuWikiInstallsAndIsUsed does with a browser's requests what the owner of a new wiki does.
func TestDokuWikiInstallsAndIsUsed(t *testing.T) {
	t.Parallel()
	dir := copyDokuWiki(t)
	// The test changes the wiki's settings, which opcache would else notice only after two seconds.
	s := serve(t, dir, "--config", "wiki.yaml", "--php-value", "opcache.revalidate_freq=0")
	v := newVisitor(t, s.url)
	useDokuWiki(t, v, dir)
	wikiUnprotected(t, dir)
	for line := range strings.Lines(s.stderr.String()) {
		// This release reads a variable of its media manager that it has not set.
		if !strings.Contains(line, "Undefined variable $fullscreen in "+dir+"/wiki/lib/exe/mediamanager.php") {
			t.Errorf("logged: %s", line)
		}
	}
}

// useDokuWiki installs a wiki and uses it.
func useDokuWiki(t *testing.T, v *visitor, dir string) {
	t.Helper()
	install := v.get(200, "/install.php").form(t, `name="d[superuser]"`)
	for name, value := range map[string]string{
		"title": "Test wiki", "acl": "on", "superuser": "admin", "fullname": "The Owner", "email": "owner@example.com",
		"password": "open sesame", "confirm": "open sesame", "policy": "0", "license": "0",
	} {
		install.Set("d["+name+"]", value)
	}
	install.Set("submit", "")
	v.post(200, "/install.php", install).mustContain(t, "The configuration was finished successfully")
	v.get(200, "/").mustContain(t, "Test wiki", "This topic does not exist yet")

	login := v.get(200, "/doku.php?id=start&do=login").form(t, `name="u"`)
	login.Set("u", "admin")
	login.Set("p", "wrong")
	v.post(403, "/doku.php?id=start&do=login", login).mustContain(t, "username or password was wrong")
	login.Set("p", "open sesame")
	v.post(200, "/doku.php?id=start&do=login", login).mustContain(t, "The Owner")

	const text = "====== A page ======\n\nGrüße from the quokka, **bold** & <plain>.\n"
	edit := v.get(200, "/doku.php?id=play:page&do=edit").form(t, `name="wikitext"`)
	edit.Set("wikitext", text)
	edit.Set("summary", "first")
	edit.Set("do[save]", "1")
	v.post(200, "/doku.php?id=play:page", edit).mustContain(t, "Grüße from the quokka", "<strong>bold</strong>", "&lt;plain&gt;")
	v.get(200, "/doku.php?id=play:page").mustContain(t, "Grüße from the quokka")
	if saved, err := os.ReadFile(filepath.Join(dir, "wiki", "data", "pages", "play", "page.txt")); err != nil || string(saved) != text {
		t.Errorf("saved page: %q, %v", saved, err)
	}
	v.get(200, "/doku.php?id=play:page&do=revisions").mustContain(t, "first")

	wikiMedia(t, v)

	// The indexer, which ignores the client's disconnect, runs behind an image on each page, and goes on when the image has been sent.
	if r := v.get(200, "/lib/exe/taskrunner.php?id=play:page"); r.Header.Get("Content-Type") != "image/gif" {
		t.Errorf("the indexer answers with %q", r.Header.Get("Content-Type"))
	}
	patient.Eventually(t, "the page is found", func() bool {
		r := v.get(200, "/doku.php?do=search&id=start&q=quokka")
		return strings.Contains(r.body, "play:page") && strings.Contains(r.body, `<strong class="search_hit">quokka</strong>`)
	})

	wikiProtected(t, v)
	wikiPathInfo(t, v, dir)
}

// wikiMedia uploads an image and gets it back byte for byte.
func wikiMedia(t *testing.T, v *visitor) {
	t.Helper()
	picture := image.NewRGBA(image.Rect(0, 0, 64, 48))
	for i := range picture.Pix {
		picture.Pix[i] = byte(i * i >> 3)
	}
	picture.Set(1, 1, color.Black)
	var file, body bytes.Buffer
	if err := png.Encode(&file, picture); err != nil {
		t.Fatal(err)
	}
	form := multipart.NewWriter(&body)
	fields := v.get(200, "/lib/exe/mediamanager.php?ns=").form(t, `name="upload"`)
	for name := range fields {
		if err := form.WriteField(name, fields.Get(name)); err != nil {
			t.Fatal(err)
		}
	}
	part, err := form.CreateFormFile("upload", "dots.png")
	if err != nil {
		t.Fatal(err)
	}
	part.Write(file.Bytes())
	form.Close()
	v.do(200, http.MethodPost, "/lib/exe/mediamanager.php?ns=", &body, "Content-Type: "+form.FormDataContentType()).
		mustContain(t, "Upload successful", "dots.png")
	r := v.get(200, "/lib/exe/fetch.php?media=dots.png")
	if r.body != file.String() || r.Header.Get("Content-Type") != "image/png" {
		t.Errorf("%d bytes of %s came back, not the %d that were uploaded", len(r.body), r.Header.Get("Content-Type"), file.Len())
	}
}

// wikiProtected asks for what only .htaccess files protect under Apache.
func wikiProtected(t *testing.T, v *visitor) {
	t.Helper()
	for _, path := range []string{
		"/data/pages/play/page.txt", "/data/meta/play/page.meta", "/data/media/dots.png", "/DATA/pages/play/page.txt",
		"/data/pages/play/../play/page.txt", "/data%2fpages/play/page.txt", "//data/pages/play/page.txt", "/data/",
		"/conf/users.auth.php", "/conf/acl.auth.php", "/conf/local.php", "/conf/mime.conf", "/conf/users.auth.php/x",
		"/inc/init.php", "/inc/lang/en/install.html", "/bin/wantedpages.php", "/vendor/autoload.php",
	} {
		r, err := fetch(plainClient(), http.MethodGet, v.base+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if r.StatusCode != 404 && r.StatusCode != 400 || strings.Contains(r.body, "quokka") || strings.Contains(r.body, "@example.com") {
			t.Errorf("GET %s: %s\n%s", path, r.Status, r.body)
		}
	}
}

// wikiPathInfo turns on the wiki's own pretty URLs, which need PATH_INFO.
func wikiPathInfo(t *testing.T, v *visitor, dir string) {
	t.Helper()
	local := filepath.Join(dir, "wiki", "conf", "local.php")
	settings, err := os.ReadFile(local)
	if err != nil {
		t.Fatal(err)
	}
	// A new file: opcache sees its time, and PHP that runs as another user owns the old one.
	if err := os.Remove(local); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(local, append(settings, "\n$conf['userewrite'] = 2;\n$conf['useslash'] = 1;\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
	v.get(200, "/doku.php?id=start").mustContain(t, "/doku.php/start?do=")
	v.get(200, "/doku.php/play/page").mustContain(t, "Grüße from the quokka")
	v.get(200, "/doku.php/play/no%20such/Seite%C3%BC").mustContain(t, "This topic does not exist yet")
	if r := v.get(200, "/lib/exe/fetch.php/dots.png"); r.Header.Get("Content-Type") != "image/png" {
		t.Errorf("by PATH_INFO the image is %q", r.Header.Get("Content-Type"))
	}
	login := url.Values{"do": {"logout"}, "sectok": {v.get(200, "/doku.php/play/page").form(t, `name="sectok"`).Get("sectok")}}
	v.get(200, "/doku.php/play/page?"+login.Encode()).mustContain(t, "Log In")
}

// wikiUnprotected holds the documentation to the truth: without the list of dokuWikiConfig a wiki's pages can be read as
// files, because phpserve reads no .htaccess files.
func wikiUnprotected(t *testing.T, dir string) {
	t.Helper()
	v := newVisitor(t, serve(t, dir, "wiki").url)
	v.get(200, "/data/pages/play/page.txt").mustContain(t, "quokka")
}
