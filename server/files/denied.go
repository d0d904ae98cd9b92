package files

import "strings"

// DenyDefault in a list of what is never served stands for all entries of the default list, see DefaultDeny.
const DenyDefault = "@default"

// deniedGroup is a part of the default list. Its files are denied as files only and its folders, with all that is in them,
// as folders only: an icon set has a folder named dockerfile.
type deniedGroup struct {
	about          string
	files, folders string // entries with spaces between them
}

// deniedComposer is the entry that holds only where the folder is Composer's: frameworks publish assets under this name.
const deniedComposer = "/vendor/"

// defaultDenied is what people, editors, deploy tools, databases and servers leave in document roots and nobody links to.
// An entry with a wildcard that is more than *.EXTENSION spares what is made for browsers (assetExtensions): *.sql* is about
// dump.sql.gz and not about mode.sql.js.
func defaultDenied() []deniedGroup {
	return []deniedGroup{
		{
			about:   "copies that editors, diff, patch and transfers make",
			files:   "*~ *.swp *.swo *.swn *.swm *.swl #*# *.bak *.bak* *.back *.backup *.backup.* *.old *.old.* *.orig *.rej *.sav *.save *.save.* *.tmp *.temp *.part *.filepart *.copy *___jb_tmp___ *___jb_old___ *,v",
			folders: "*~ *.bak *.backup *.old *.orig *.save *.tmp",
		},
		{
			about: "databases and their dumps",
			files: "*.sql *.sql* *.db *.db-* *.db3 *.db3-* *.s3db *.sdb *.mdb *.accdb *.dump *.dump.* *.dmp *.rdb *.bson *.ibd *.frm *.myd *.db.* mysqldump mysqldump.* *backup.gz *backup.zip *backup.tar *backup.tar.* *backup.tgz *backup.rar *backup.7z",
		},
		{
			about: "logs and what programs write when they end",
			files: "*.log *.log.* *.log-* error_log error_log.* error_log-* access_log access_log.* access_log-* php_errorlog php-error.* nohup.out sess_* core *.stackdump *.pid",
		},
		{
			about:   "Composer's and PHP's own files",
			files:   "composer.json composer.lock composer.phar auth.json symfony.lock php.ini *.ini *.neon *.neon.* phpunit.xml phpunit*.xml phpunit.xml.* psalm.xml psalm.xml.* phpcs.xml phpcs.xml.* phpmd.xml infection.json* behat.yml codeception.yml *.dist",
			folders: deniedComposer,
		},
		{
			about: "sources of PHP applications under other names (Drupal)",
			files: "*.module *.install *.engine *.profile",
		},
		{
			about: "configuration of applications and servers",
			files: "phpserve.yaml phpserve.yml phpserve.toml phpserve.json web.config web.config.* appsettings.json appsettings.*.json local.xml parameters.yml parameters.yaml " +
				"database.yml database.yaml secrets.yml secrets.yaml secrets.json credentials credentials.json credentials.xml service-account*.json *.env *.env.* env.* _env _env.* wp-config.* www.conf " +
				"nginx.conf nginx.conf.* httpd.conf apache2.conf php-fpm.conf my.cnf *.cnf supervisord.conf *.htaccess *.htpasswd htpasswd",
		},
		{
			about: "builds, containers and deployment",
			files: "makefile gnumakefile rakefile gemfile gemfile.lock vagrantfile jenkinsfile procfile capfile fabfile.py taskfile.yml taskfile.yaml build.xml build.properties " +
				"dockerfile dockerfile.* *.dockerfile containerfile containerfile.* docker-compose* compose.yml compose.yaml compose.*.yml compose.*.yaml docker-bake.hcl " +
				"bitbucket-pipelines.yml azure-pipelines.yml appveyor.yml cloudbuild.yaml buildspec.yml serverless.yml fly.toml app.yaml kubeconfig *.kubeconfig " +
				"ansible.cfg *.tf *.tfvars *.tfvars.json *.tfstate *.tfstate.* /package-lock.json /yarn.lock /pnpm-lock.yaml",
		},
		{
			about: "private keys and passwords",
			files: "*.pem *.key *.p8 *.p12 *.pfx *.jks *.keystore *.ppk *.kdb *.kdbx *.ovpn secring.gpg private*.asc wallet.dat id_rsa id_rsa* id_dsa id_dsa* id_ecdsa id_ecdsa* id_ed25519 id_ed25519*",
		},
		{
			about: "projects of editors, with passwords of servers in some",
			files: "*.iml *.ipr *.iws *.suo *.sublime-project *.sublime-workspace *.code-workspace *.komodoproject sftp-config.json sftp-config-alt*.json ftpsync.settings " +
				"ws_ftp.ini filezilla.xml sitemanager.xml recentservers.xml dwsync.xml deployment-config.json",
			folders: "nbproject _notes",
		},
		{
			about:   "version control without a leading dot, mail",
			files:   "*.mbox *.pst",
			folders: "cvs _darcs",
		},
	}
}

// DefaultDeny returns the entries of the default list. Those that end with a slash are about folders and all that is in
// them, the others about files.
func DefaultDeny() (entries []string) {
	for _, g := range defaultDenied() {
		entries = append(entries, strings.Fields(g.files)...)
		for folder := range strings.FieldsSeq(g.folders) {
			entries = append(entries, strings.TrimSuffix(folder, "/")+"/")
		}
	}
	return entries
}

// assetExtensions are those of what is made for browsers and is no copy of what it has in its name besides.
func assetExtensions() []string {
	return strings.Fields(".html .htm .xhtml .css .scss .less .js .mjs .cjs .ts .map .svg .png .jpg .jpeg .gif .webp .avif .ico .bmp .woff .woff2 .ttf .otf .eot .pdf .mp3 .mp4 .webm .ogg .wasm")
}

// isAsset says whether a folded name is that of an asset, compressed or not.
func (p *Protection) isAsset(name []byte) bool {
	dot := lastDot(name)
	if dot < 0 {
		return false
	}
	switch string(name[dot:]) {
	case ".gz", ".br", ".zst":
		if name, dot = name[:dot], lastDot(name[:dot]); dot < 0 {
			return false
		}
	}
	return p.assets[string(name[dot:])]
}

// copyWords follow the extension of a script without a sign between in the names of copies.
func copyWords() []string {
	return strings.Fields("old bak back backup bk orig original save sav saved sample dist example tmp temp new copy prev previous disabled off txt text")
}

// isSource reports whether name, which is folded, is that of a script or of a copy of one: an extension of a script stands
// somewhere in it, with nothing behind it but a sign, a digit or a word that copies have. So x.php.gz, x.php_orig, x.php1,
// "x.php (copy)" and x.phpold are, mode-php.js, jquery.phpjs.min.js and Foo.php.html are not.
func (p *Protection) isSource(name []byte) bool {
	for i, c := range name {
		if c != '.' {
			continue
		}
		for end := i + 2; end <= len(name) && end-i <= p.longestSource; end++ {
			if !p.sources[string(name[i:end])] || !p.isCopyTail(name[end:]) {
				continue
			}
			return !p.isAsset(name)
		}
	}
	return false
}

// isCopyTail says whether what follows the extension of a script in a name is that of a copy.
func (p *Protection) isCopyTail(tail []byte) bool {
	if len(tail) == 0 || tail[0] < 'a' || tail[0] > 'z' {
		return true
	}
	word := tail
	for i, c := range tail {
		if c < 'a' || c > 'z' {
			word = tail[:i]
			break
		}
	}
	return p.copyWords[string(word)]
}
