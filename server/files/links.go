package files

import (
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/phpserve/phpserve/internal/ownership"
)

// How symbolic links that lead out of a document root are treated (site.Config).
const (
	FollowOwner = "owner" // followed to what belongs to the link's owner or to root
	FollowYes   = "yes"   // followed
	FollowNo    = "no"    // not followed
)

// LinkPolicy is FollowSymlinks at work. Links that stay inside the root are always followed.
type LinkPolicy int

const (
	linksInside LinkPolicy = iota
	linksOwner
	linksAll
)

// LinksOf is the policy of a value of follow_symlinks; one that is none of them is [FollowNo].
func LinksOf(follow string) LinkPolicy {
	return map[string]LinkPolicy{FollowOwner: linksOwner, FollowYes: linksAll}[follow]
}

// LinkError is a symbolic link that is not followed. It is an ErrOutsideRoot.
type LinkError struct {
	link, target string // target is a real path
	why          linkRefusal
	owner, other uint32 // whom the link and what it leads to belong to, for some refusals
	rule         string // of names that are never served, for one
}

// linkRefusal is why a link is not followed.
type linkRefusal int

const (
	refusedLeavesRoot linkRefusal = iota
	refusedName
	refusedOwners
	refusedSystem
)

func (e *LinkError) Error() string {
	return fmt.Sprintf("the symbolic link %s to %s is not followed: %s", e.link, e.target, e.reason())
}

func (e *LinkError) Unwrap() error { return ErrOutsideRoot }

// reason is a sentence. Owners are looked up here, and not for each request of a link.
func (e *LinkError) reason() string {
	switch e.why {
	case refusedName:
		return "it leads to a name that is never served (" + e.rule + ")"
	case refusedOwners:
		return fmt.Sprintf("it belongs to %s and what it leads to belongs to %s", ownership.User(e.owner), ownership.User(e.other))
	case refusedSystem:
		return fmt.Sprintf("it belongs to %s and leads to what is root's in a folder of the system", ownership.User(e.owner))
	}
	return "it leads out of the document root"
}

// Hint is what to do about it.
func (e *LinkError) Hint() string {
	switch e.why {
	case refusedName:
		return "deny has the names that are never served; a name that begins with a dot and the source of a script never are."
	case refusedOwners:
		return "follow_symlinks: owner follows links to what belongs to their owner or to root: make it belong to that user (chown -h for the link). follow_symlinks: yes follows all."
	case refusedSystem:
		return "follow_symlinks: owner follows such a link if it is root's, too (chown -h root), follow_symlinks: yes follows all."
	}
	return "follow_symlinks: owner follows links to what belongs to their owner or to root, follow_symlinks: yes follows all."
}

// firstLink is the first symbolic link on the way from the folder root to rel, for messages; with outside the first whose target is not
// below that real path.
func firstLink(root, rel, outside string) (link, target string) {
	path := root
	for name := range strings.SplitSeq(strings.TrimSuffix(rel, "/"), "/") {
		path = joinRoot(path, name)
		info, err := os.Lstat(path)
		if err != nil {
			break
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			continue
		}
		target, err = filepath.EvalSymlinks(path)
		if err != nil || outside == "" || !below(outside, target) {
			break
		}
	}
	return path, target
}

// refusedInside is the error of linksInside for rel, which leads to real.
func refusedInside(path, rel, root, real string) error {
	e := &LinkError{why: refusedLeavesRoot}
	if e.link, e.target = firstLink(path, rel, root); e.target == "" {
		e.target = real // it has just been changed
	}
	return e
}

// refusedTarget is the error of a link to a protected name.
func refusedTarget(path, rel, real, rule string) error {
	link, _ := firstLink(path, rel, "")
	return &LinkError{link: link, target: real, why: refusedName, rule: rule}
}

// systemFolders hold what is root's and of no site: passwords, keys, devices, processes, logs.
var systemFolders = []string{
	"/etc", "/proc", "/sys", "/dev", "/run", "/root", "/boot", "/var/run", "/var/log", "/var/spool", "/var/mail", "/var/backups",
}

func inSystemFolder(path string) bool {
	return slices.ContainsFunc(systemFolders, func(dir string) bool { return below(dir, path) })
}

// linkRule is FollowOwner along one walk. The rule is Apache's SymLinksIfOwnerMatch: whoever may write into a site can make
// a link there to anything, and must not have others' files served by it. Packages link to what is root's. A link of
// somebody else to what is root's (a user's to a library in /usr/share) is followed as well, but what it leads to in the end
// must be root's or the user's own, and in no folder of the system: an archive that a script unpacks may hold such a link.
type linkRule struct {
	root string // real path of the document root
	// The last link of somebody else to what is root's, empty if there was none.
	link, target string
	owner        uint32 // of that link
}

// follow says whether a link may be followed; target is the real path of what it leads to, through all further links.
func (l *linkRule) follow(link string, owner uint32, target string, targetOwner uint32) error {
	switch {
	case below(l.root, target), owner == targetOwner:
		return nil
	case targetOwner == 0:
		l.link, l.target, l.owner = link, target, owner
		return nil
	}
	return refusedOwner(link, owner, target, targetOwner)
}

// end says whether what the walk came to may be served.
func (l *linkRule) end(real string, owner uint32) error {
	switch {
	case l.link == "" || below(l.root, real):
		return nil
	case owner != 0 && owner != l.owner:
		return refusedOwner(l.link, l.owner, real, owner)
	case owner == 0 && inSystemFolder(real):
		return &LinkError{link: l.link, target: l.target, why: refusedSystem, owner: l.owner}
	}
	return nil
}

func refusedOwner(link string, owner uint32, target string, targetOwner uint32) error {
	return &LinkError{link: link, target: target, why: refusedOwners, owner: owner, other: targetOwner}
}

// maxRefusedLinks bounds how many links of a site the log tells of.
const maxRefusedLinks = 100

// RefusedLinks are those that the log has told of: once is enough for each.
type RefusedLinks struct {
	mu   sync.Mutex // guards said
	said map[LinkError]bool
}

// Log tells of a link that was not followed, unless it was told before.
func (l *RefusedLinks) Log(log *slog.Logger, err *LinkError) {
	l.mu.Lock()
	news := !l.said[*err] && len(l.said) < maxRefusedLinks
	if news {
		if l.said == nil {
			l.said = map[LinkError]bool{}
		}
		l.said[*err] = true
	}
	l.mu.Unlock()
	if news {
		log.Warn("symbolic link not followed", "link", err.link, "target", err.target, "why", err.reason(), "hint", err.Hint())
	}
}
