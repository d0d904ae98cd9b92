package files

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestWhatPeopleLeaveBehindIsDenied is about files; everything else of these names is served.
func TestWhatPeopleLeaveBehindIsDenied(t *testing.T) {
	p := NewProtection([]string{DenyDefault}, []string{".php"})
	for about, names := range map[string]string{
		"sources of scripts": "x.php_orig|x.php-old|x.php.old|x.php1|x.php.1|x.php.12|x.php_bak|x.php~|x.php~1~|x.php.~1~|x.php (copy)|x.php - Copy|x.php – Kopie|x.php(1)|" +
			"x.phpold|x.phpbak|x.phporig|x.phps|x.php.save|x.php.save.1|x.php.swp|x.php.swo|#x.php#|x.php#|x.php.rej|x.php.patch|x.php.txt|x.php.dist|x.php.sample|x.php.disabled|" +
			"x.php_2024-01-01|x.php.20240101|x.php.zip|x.php.tar.gz|x.php.gz|X.PHP.BAK|x.Php_Orig|x.php,v|x.php@|x.php;1|x.php___jb_tmp___|x.php.inc|db.inc|db.inc.php.bak|db.inc_old|db.inc1|" +
			"x.phtml|x.phtml~|x.phar|app.phar.bak|x.php5|x.php7_old|x.pht|x.phpt|x.php.|x.php. |wp-config.php.bak|wp-config.php_old|wp-config.php-sample|configuration.php-dist|settings.php.orig|" +
			"LocalSettings.php.new|x.php.md|x.module|x.install|x.engine|x.profile",
		"editors and transfers": "a.txt~|a.html~|a.swp|a.swo|a.swn|#a.txt#|a.bak|a.bak1|a.bak.zip|a.txt.bak|a.backup|a.old|a.old.tar|a.orig|a.rej|a.sav|a.save|a.save.1|a.tmp|a.temp|a.part|a.zip.filepart|a.copy|a.BAK|",
		"databases": "a.sql|a.sql.gz|a.sql.zip|a.sql.bz2|a.sql.xz|a.sql.1|a.sql-old|a.sql_2024|a.sql~|dump.SQL|a.sqlite|a.sqlite3|a.sqlite-wal|a.sqlite-shm|a.sqlite-journal|a.sqlite3-wal|a.sqlite3-journal|" +
			"a.sqlite.bak|a.sqlitedb|a.db|a.db-wal|a.db-shm|a.db-journal|a.db3|a.db3-wal|Thumbs.db|a.mdb|a.accdb|a.dump|a.dump.gz|a.dmp|dump.rdb|a.bson|a.ibd|backup.zip|backup.tar.gz|backup.tgz|foo.db.gz|db_backup.gz|site-backup.zip|mysqldump.txt",
		"logs":   "a.log|error.log|debug.log.1|a.log.gz|a.log-20240101|error_log|access_log|php_errorlog|error_log.1|error_log-2024|error_log.txt|php-error.txt|sess_abc123|nohup.out|core|a.stackdump",
		"config": "composer.json|composer.lock|composer.phar|auth.json|symfony.lock|php.ini|a.ini|phpunit.xml|phpunit.xml.dist|phpunit.9.xml|phpstan.neon|phpstan.neon.dist|phpstan-baseline.neon|psalm.xml|web.config|web.config.bak|appsettings.json|appsettings.Production.json|parameters.yml|database.yml|secrets.yml|credentials|credentials.json|prod.env|prod.env.local|env.production|env.local|env.txt|env.json|_env|_env.bak|wp-config.txt|www.conf|nginx.conf|nginx.conf.sample|my.cnf|old.htaccess|a.htpasswd|htpasswd|phpserve.yaml|local.xml",
		"deploy": "Makefile|GNUmakefile|Rakefile|Gemfile|Gemfile.lock|Vagrantfile|Jenkinsfile|Procfile|Capfile|fabfile.py|Taskfile.yml|build.xml|Dockerfile|dockerfile|DOCKERFILE|Dockerfile.prod|prod.Dockerfile|Containerfile|" +
			"docker-compose.yml|docker-compose.yaml|docker-compose.prod.yml|docker-compose-dev.yml|compose.yml|compose.yaml|compose.prod.yaml|compose.override.yml|bitbucket-pipelines.yml|azure-pipelines.yml|" +
			"kubeconfig|main.tf|terraform.tfvars|terraform.tfstate|terraform.tfstate.backup|ansible.cfg|package-lock.json|yarn.lock|pnpm-lock.yaml",
		"keys":     "server.pem|server.key|oauth-private.key|a.p12|a.pfx|a.jks|a.keystore|a.ppk|a.kdbx|a.ovpn|a.p8|secring.gpg|private.asc|private-key.asc|wallet.dat|id_rsa|id_rsa.pub|id_rsa.old|id_ed25519|id_ecdsa|id_dsa",
		"projects": "a.iml|a.sublime-workspace|a.code-workspace|sftp-config.json|ftpsync.settings|ws_ftp.ini|WS_FTP.LOG|sitemanager.xml|dwsync.xml|a.mbox",
		"dots":     ".env|.env.local|.env.bak|.git|.gitignore|.htaccess|.htpasswd|.user.ini|.DS_Store|.dockerignore|.x.php.swp|.#x.php|.x.php.kate-swp|.npmrc|.x.php.Ab12Cd",
	} {
		for name := range strings.SplitSeq(strings.TrimSuffix(names, "|"), "|") {
			top := strings.HasSuffix(name, "lock.json") || name == "yarn.lock" || name == "pnpm-lock.yaml"
			for _, path := range []string{"/" + name, "//" + name, "/a/b/" + name, "/" + asciiUpper(name)} {
				if _, denied := p.Denied(path, false); !denied && (!top || !strings.HasPrefix(path, "/a/")) {
					t.Errorf("%s: %s is served", about, path)
				}
			}
		}
	}
	for _, folder := range []string{"/.git", "/x.old", "/www~", "/cvs", "/CVS", "/_darcs", "/nbproject", "/_notes", "/site.bak", "/vendor"} {
		if _, denied := p.Denied(folder, true); !denied {
			t.Errorf("%s/ is served", folder)
		}
		if _, denied := p.Denied(folder+"/a.css", false); !denied {
			t.Errorf("%s/a.css is served", folder)
		}
	}
}

// TestNoAssetIsDenied has the names of files in real asset folders.
func TestNoAssetIsDenied(t *testing.T) {
	p := NewProtection([]string{DenyDefault}, []string{".php"})
	text, err := os.ReadFile(filepath.Join("testdata", "assetnames.txt"))
	if err != nil {
		t.Fatal(err)
	}
	names := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(names) < 500 {
		t.Fatalf("only %d names", len(names))
	}
	for _, name := range append(names,
		"ace/mode-php.js", "ace/mode-sql.js", "ace/sql.min.js", "codemirror/mode/sql/sql.js", "codemirror/mode/dockerfile/dockerfile.js", "a/x.sql.js", "a/mode.sql.min.js.gz", "hljs/sql.min.js.br",
		"devicon/icons/docker/docker-compose.svg", "icons/dockerfile.svg", "icons/dockerfile/icon.svg", "icons/makefile/a.png", "icons/core/a.png", "icons/core", "icons/vagrantfile", "icons/id_rsa.svg",
		"a/Foo.php.html", "a/x.inc.js", "a/jquery.php-parser.js", "a/jquery.phpjs.min.js", "a/php.gz", "a/logo.php.svg", "a/acme.inc.pdf", "a/acme-inc.pdf", "a/phpmyadmin.css", "a/x.phpx",
		"a/package.json", "a/manifest.json", "a/config.json", "a/settings.json", "a/data.xml", "a/openapi.yaml", "a/config.yml", "a/sitemap.xml", "a/robots.txt", "a/keys.js", "a/app.key.js", "a/env.js",
		"a/include.txt", "a/module.js", "a/x.module.css", "a/x.module.js", "a/install.sh", "a/profile.jpg", "a/engine.png", "a/download.zip", "a/archive.tar.gz", "a/backup-guide.pdf", "a/old.css", "a/save.png", "a/x.swf",
		"a/key.asc", "a/ca.crt", "a/blog", "a/catalog", "a/changelog", "a/dialog", "a/core.js", "a/core.css", "a/cvs.txt", "a/vendor.js", "a/vendor/x.css", "vendors/x.css", "a/patch.diff", "a/x.patch", "dist/app.js", "tmp/a.png", "a/a.template",
	) {
		if strings.HasPrefix(name, "#") {
			continue
		}
		folder := name == "icons/core" || name == "icons/vagrantfile"
		if rule, denied := p.Denied("/"+name, folder); denied {
			t.Errorf("/%s is denied by %s", name, rule)
		}
	}
}

func TestEntriesAreTakenOffOneByOne(t *testing.T) {
	for _, tt := range []struct {
		entries        string
		denied, served string
	}{
		{"@default !dockerfile", "makefile a.log", "dockerfile"},
		{"@default !Dockerfile !*.LOG", "makefile", "dockerfile a.log"},
		{"@default !/vendor/", "a.log", "vendor/a.css"},
		{"@default !*.log *.log", "a.log", ""},
		{"@default /vendor/", "vendor/a.css", ""},
		{"/vendor/ @default", "vendor/a.css", ""},
		{"dockerfile @default", "dockerfile dockerfile/a.css dockerfile.prod", ""},
		{"secret*", "secret.css", "a.log dockerfile x.sql"},
		{"", ".env x.inc x.php.bak", "a.log vendor/a.css"},
	} {
		entries := strings.Fields(tt.entries)
		if _, errs := DenyRules(entries); len(errs) > 0 {
			t.Errorf("%s: %v", tt.entries, errs)
		}
		p := NewProtection(entries, []string{".php"})
		p.IsComposers = func() bool { return false }
		for name := range strings.FieldsSeq(tt.denied) {
			if _, denied := p.Denied("/"+name, false); !denied {
				t.Errorf("%q: %s is served", tt.entries, name)
			}
		}
		for name := range strings.FieldsSeq(tt.served) {
			if rule, denied := p.Denied("/"+name, false); denied {
				t.Errorf("%q: %s is denied by %s", tt.entries, name, rule)
			}
		}
	}
	for _, bad := range []string{"!dockerfile", "@default !nope", "!@default", "@defaults", "@default !*.log !*.log", "@default !"} {
		if _, errs := DenyRules(strings.Fields(bad)); len(errs) == 0 {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// TestGuideHasTheDefaultList keeps docs/configuration.md true.
func TestGuideHasTheDefaultList(t *testing.T) {
	guide, err := os.ReadFile(filepath.Join("..", "..", "docs", "configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range defaultDenied() {
		row := "| " + g.about + " | " + codeList(g.files) + " | " + codeList(g.folders) + " |\n"
		if !strings.Contains(string(guide), row) {
			t.Errorf("docs/configuration.md lacks the row\n%s", row)
		}
	}
}

// codeList is how Markdown shows the words of a list.
func codeList(list string) string {
	words := strings.Fields(list)
	for i, w := range words {
		words[i] = "`" + w + "`"
	}
	return strings.Join(words, " ")
}
