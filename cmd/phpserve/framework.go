package main

import (
	"encoding/json"
	"path/filepath"
	"strings"

	"github.com/phpserve/phpserve/safefile"
)

// frameworkOf names the framework whose front controller a document root has, empty if none is known. Frameworks route every
// URL themselves, those of files too: Livewire's scripts, Drupal's images, WordPress's sitemap.xml.
func frameworkOf(root string) string {
	for _, mark := range []struct{ file, name string }{
		{"wp-load.php", "WordPress"},
		{"core/lib/Drupal.php", "Drupal"},
		{"includes/bootstrap.inc", "Drupal"},
		{"artisan", "Laravel"},
		{"bin/console", "Symfony"},
		{"symfony.lock", "Symfony"},
		{"spark", "CodeIgniter"},
		{"system/core/CodeIgniter.php", "CodeIgniter"},
		{"bin/cake", "CakePHP"},
		{"bin/cake.php", "CakePHP"},
		{"yii", "Yii"},
		{"craft", "Craft CMS"},
		{"please", "Statamic"},
		{"kirby/bootstrap.php", "Kirby"},
		{"bin/grav", "Grav"},
		{"typo3/sysext", "TYPO3"},
		{"typo3conf", "TYPO3"},
		{"concrete/dispatcher.php", "Concrete CMS"},
		{"bin/magento", "Magento"},
		{"app/Mage.php", "Magento"},
		{"wire/core/ProcessWire.php", "ProcessWire"},
		{"lib/versioncheck.php", "Nextcloud"},
		{"flarum", "Flarum"},
		{"administrator/manifests/files/joomla.xml", "Joomla"},
		{"bin/shopware", "Shopware"},
		{"classes/PrestaShopAutoload.php", "PrestaShop"},
		{"core/model/modx/modx.class.php", "MODX"},
		{"contao", "Contao"},
	} {
		// Beside the front controller, or in the project that it is the public folder of.
		if exists(filepath.Join(root, mark.file)) || exists(filepath.Join(root, "..", mark.file)) {
			return mark.name
		}
	}
	for _, dir := range []string{root, filepath.Join(root, "..")} {
		if name := frameworkRequired(filepath.Join(dir, "composer.json")); name != "" {
			return name
		}
	}
	return ""
}

// frameworkRequired is the package of a framework that a composer.json requires.
func frameworkRequired(file string) string {
	text, err := safefile.ReadRegular(file, composerLimit)
	if err != nil {
		return ""
	}
	var composer struct {
		Require map[string]any `json:"require"`
	}
	if json.Unmarshal(text, &composer) != nil {
		return ""
	}
	for name := range composer.Require {
		vendor, _, _ := strings.Cut(name, "/")
		switch vendor {
		case "laravel", "illuminate", "slim", "laminas", "mezzio", "cakephp", "codeigniter4", "yiisoft", "nette", "drupal", "typo3", "craftcms",
			"statamic", "getkirby", "spiral", "flightphp", "contao", "neos", "shopware", "sylius", "flarum", "silverstripe", "october", "bolt", "concrete5", "phalcon", "leafs":
			return name
		}
		switch name {
		case "symfony/framework-bundle", "symfony/http-kernel", "symfony/routing", "league/route", "nikic/fast-route", "bramus/router", "altorouter/altorouter", "aura/router", "klein/klein":
			return name
		}
	}
	return ""
}
