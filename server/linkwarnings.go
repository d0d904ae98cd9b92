package server

import (
	"errors"
	"fmt"
	"slices"
)

// LinkWarnings says which of a site's index files and its front controller are behind a symbolic link that is not followed.
func (c *SiteConfig) LinkWarnings() (texts []string) {
	root, err := newDocRoot(c.Root, docRootOptions{Links: linkPolicyOf(c.FollowSymlinks), Protect: newProtection(c.Deny, c.ScriptExtensions)})
	if err != nil {
		return nil // another check says so
	}
	defer root.Close()
	names := append([]string{c.FrontController}, c.Index...)
	for i, name := range names {
		if name == "" || slices.Contains(names[:i], name) {
			continue
		}
		var link *linkError
		if _, err := root.lookup("/" + name); errors.As(err, &link) {
			texts = append(texts, fmt.Sprintf("%s is not found: %v. %s", name, link, link.hint))
		}
	}
	return texts
}
