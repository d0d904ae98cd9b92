package files

import (
	"strings"
	"testing"
)

func TestDefaultProtectionDenies(t *testing.T) {
	p := NewProtection([]string{DenyDefault}, []string{".php"})
	tests := []struct{ path, rule string }{
		{"/.env", ruleDotfile},
		{"/.git/config", ruleDotfile},
		{"/a/.htaccess", ruleDotfile},
		{"/a/.well-known/x", ruleDotfile},
		{"/.well-known/.env", ruleDotfile},
		{"/.Well-Known/x", ruleDotfile},
		{"/.user.ini", ruleDotfile},
		{"/.php", ruleDotfile},
		{"//.env", ruleDotfile},
		{"/a//.env", ruleDotfile},
		{"/index.php~", ruleSource},
		{"/index.html~", "*~"},
		{"/index.php.bak", "*.bak"},
		{"/index.BAK", "*.bak"},
		{"/.index.php.swp", ruleDotfile},
		{"/index.php.swo", "*.swo"},
		{"/dump.sql", "*.sql"},
		{"/dump.sql.gz", "*.sql*"},
		{"/backup.old/readme.txt", "*.old"},
		{"/logs/debug.log", "*.log"},
		{"/phpunit.xml.dist", "*.dist"},
		{"/config.php.txt", ruleSource},
		{"/config.php.1", ruleSource},
		{"/x.php.gz", ruleSource},
		{"/x.php.br", ruleSource},
		{"/x.PHP.zst", ruleSource},
		{"/conf.php.zip", ruleSource},
		{"/conf.php.new", ruleSource},
		{"/conf.php.2024-01-01.tar.gz", ruleSource},
		{"/a/db.inc.1", ruleSource},
		{"/view.phtml.gz", ruleSource},
		{"/x.php.", ruleSource},
		{"/composer.json", "composer.json"},
		{"/Composer.JSON", "composer.json"},
		{"/app/composer.lock", "composer.lock"},
		{"/vendor", "/vendor/"},
		{"/vendor/", "/vendor/"},
		{"/vendor/autoload.php", "/vendor/"},
		{"/VENDOR/autoload.php", "/vendor/"},
		{"//vendor/autoload.php", "/vendor/"},
		{"/#notes#", "#*#"},
		{"/lib/db.inc", ruleSource},
		{"/a.phtml", ruleSource},
		{"/a.phar", ruleSource},
		{"/a.php5", ruleSource},
		{"/a.phps", ruleSource},
		{"/a.pht", ruleSource},
		{"/a.PHP", ruleSource},
		{"/a.pHp", ruleSource},
		{"/a.Inc", ruleSource},
		{"/du\u017fmp.\u017fql", "*.sql"}, // long s: "sql" on APFS
		{"/symfony.loc\u212a", "symfony.lock"},
	}
	for _, tt := range tests {
		t.Run(tt.path, func(t *testing.T) {
			if rule, denied := p.Denied(tt.path, strings.HasSuffix(tt.rule, "/") && strings.Count(tt.path, "/") == 1); !denied || rule != tt.rule {
				t.Errorf("denied(%q) = %q, %v; want %q, true", tt.path, rule, denied, tt.rule)
			}
		})
	}
}

func TestDefaultProtectionAllows(t *testing.T) {
	p := NewProtection([]string{DenyDefault}, []string{".php"})
	for _, path := range []string{
		"/", "/index.php", "/a.b/index.php", "/.well-known/acme-challenge/token", "/.well-known/security.txt", "/.well-known",
		"/assets/vendor/jquery.js", "/vendors/x.js", "/vendor.js", "/composer.json.html", "/catalog", "/blog/", "/sql", "/changelog",
		"/js/php.js", "/a.phpx", "/coverage/Foo.php.html", "/x.inc.js",
		"/style.css.gz", "/app.min.js.br", "/jquery.php-parser.js", "/jquery.phpjs.min.js", "/php.gz", "/a.php.d/x.gz", "/archive.tar.gz", "/inc/a.js", "/shell.php.txt.php", "/dist/app.js", "/\u023a\u023ashell.php.txt.php",
		// Compatibility forms are other letters (GHSA-v4h7-cj44-8fc8): plain files, if there are such.
		"/a.ⓟⓗⓟ", "/a﹒php", "/a．php", "/a.ｐhp", "/a.𝓅𝒽𝓅", "/up/evil.jpg/x.php",
		"/" + strings.Repeat("n", 300),
	} {
		t.Run(path, func(t *testing.T) {
			if rule, denied := p.Denied(path, false); denied {
				t.Errorf("denied(%q) by %q", path, rule)
			}
		})
	}
}

func TestScriptExtensionsOfTheSiteAreNotDenied(t *testing.T) {
	p := NewProtection(nil, []string{".php", ".phtml", ".foo"})
	for path, want := range map[string]bool{
		"/a.php": false, "/a.phtml": false, "/a.foo": false, "/a.foo.gz": true, "/a.inc.foo": false, "/a.FOO": true, "/a.PHTML": true, "/a.php7": true, "/a.foo/b.txt": false,
	} {
		if _, denied := p.Denied(path, false); denied != want {
			t.Errorf("denied(%q) = %v, want %v", path, denied, want)
		}
	}
}

func TestDenyPatternsAreConfigurable(t *testing.T) {
	p := NewProtection([]string{"secret-?.*", "/private/", "/x*y"}, []string{".php"})
	for path, want := range map[string]bool{
		"/secret-1.txt": true, "/a/SECRET-2.pdf": true, "/secret-.txt": false, "/secret-12.txt": false,
		"/private/x": true, "/a/private/x": false, "/xaay": true, "/a/xaay": false, "/xaayb": false,
		"/vendor/x": false, "/x.sql": false, "/.env": true, "/x.inc": true,
	} {
		if _, denied := p.Denied(path, false); denied != want {
			t.Errorf("denied(%q) = %v, want %v", path, denied, want)
		}
	}
}

func TestDenyPatternThatCannotWorkIsAnError(t *testing.T) {
	for _, pattern := range []string{"", "/", "*", "**", "?", "/*", "a/b", "/a/b/"} {
		if err := validDenyPattern(pattern); err == nil {
			t.Errorf("validDenyPattern(%q) = nil", pattern)
		}
	}
	for _, pattern := range DefaultDeny() {
		if err := validDenyPattern(pattern); err != nil {
			t.Errorf("default pattern: %v", err)
		}
	}
}

func TestGlobMatchIsNotExponential(t *testing.T) {
	glob := strings.Repeat("a*", 30) + "b"
	if globMatch(glob, []byte(strings.Repeat("a", 255))) {
		t.Error("matched without a b")
	}
	if !globMatch(glob, []byte(strings.Repeat("a", 254)+"b")) {
		t.Error("did not match")
	}
}

func TestDeniedDoesNotAllocate(t *testing.T) {
	p := NewProtection([]string{DenyDefault}, []string{".php"})
	for _, path := range []string{"/wp-content/themes/Twenty/style.CSS", "/.env", "/a/dump.sql"} {
		if n := testing.AllocsPerRun(100, func() { p.Denied(path, false) }); n != 0 {
			t.Errorf("denied(%q): %v allocations", path, n)
		}
	}
}

func BenchmarkDenied(b *testing.B) {
	p := NewProtection([]string{DenyDefault}, []string{".php"})
	b.ReportAllocs()
	for b.Loop() {
		p.Denied("/wp-content/themes/twentytwentyfour/assets/css/style.css", false)
	}
}
