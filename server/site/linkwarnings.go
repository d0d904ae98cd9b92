package site

import (
	"errors"
	"fmt"
	"slices"

	"github.com/phpserve/phpserve/server/files"
)

// LinkWarnings says which of a site's index files and its front controller are behind a symbolic link that is not followed.
func (c *Config) LinkWarnings() (texts []string) {
	root, err := files.OpenRoot(c.Root, files.Options{Links: files.LinksOf(c.FollowSymlinks), Protect: files.NewProtection(c.Deny, c.ScriptExtensions)})
	if err != nil {
		return nil // another check says so
	}
	defer root.Close()
	names := append([]string{c.FrontController}, c.Index...)
	for i, name := range names {
		if name == "" || slices.Contains(names[:i], name) {
			continue
		}
		var link *files.LinkError
		if _, err := root.Lookup("/" + name); errors.As(err, &link) {
			texts = append(texts, fmt.Sprintf("%s is not found: %v. %s", name, link, link.Hint()))
		}
	}
	return texts
}
