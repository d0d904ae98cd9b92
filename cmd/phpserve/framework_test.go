package main

import (
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/phpserve/phpserve/server/site"
)

// A guessed front controller is asked for missing files where its framework makes them, and so is one that is named.
func TestFrontControllerIsAskedForMissingFilesWhereItMakesThem(t *testing.T) {
	for _, tt := range []struct {
		name, front, missing string
		files                map[string]string
		asked                bool
	}{
		{"a plain index.php", frontAuto, missingAuto, nil, false},
		{"one that is named", "index.php", missingAuto, nil, true},
		{"one that is named, and files are not its", "index.php", missingNotFound, nil, false},
		{"the setting", frontAuto, missingFront, nil, true},
		{"WordPress", frontAuto, missingAuto, map[string]string{"site/wp-load.php": ""}, true},
		{"WordPress, and files are not its", frontAuto, missingNotFound, map[string]string{"site/wp-load.php": ""}, false},
		{"Drupal", frontAuto, missingAuto, map[string]string{"site/core/lib/Drupal.php": ""}, true},
		{"Laravel", frontAuto, missingAuto, map[string]string{"artisan": ""}, true},
		{"Symfony", frontAuto, missingAuto, map[string]string{"bin/console": ""}, true},
		{"Slim", frontAuto, missingAuto, map[string]string{"composer.json": `{"require": {"php": ">=8", "slim/slim": "4"}}`}, true},
		{"a router", frontAuto, missingAuto, map[string]string{"site/composer.json": `{"require": {"nikic/fast-route": "1"}}`}, true},
		{"a library", frontAuto, missingAuto, map[string]string{"composer.json": `{"require": {"monolog/monolog": "3"}}`}, false},
		{"composer.json that cannot be read", frontAuto, missingAuto, map[string]string{"composer.json": `{`}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			files := map[string]string{"site/index.php": ""}
			maps.Copy(files, tt.files)
			for name, text := range files {
				path := filepath.Join(dir, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			s := defaultSettings().Site
			s.Root, s.FrontController, s.MissingFiles = filepath.Join(dir, "site"), tt.front, tt.missing
			c, err := siteConfig(&s)
			if err != nil {
				t.Fatal(err)
			}
			if asked := len(c.MissingFiles) == 0; asked != tt.asked || !asked && len(c.MissingFiles) != len(site.DefaultFileExtensions()) {
				t.Errorf("asked %v", asked)
			}
		})
	}
	s := defaultSettings().Site
	s.Root, s.MissingFiles = t.TempDir(), "sometimes"
	if _, err := siteConfig(&s); err == nil {
		t.Error("missing_files accepts anything")
	}
}
