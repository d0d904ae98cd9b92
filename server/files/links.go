package files

import (
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
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
	link, target string // target is a real path, empty where it is not known
	why          string
	Hint         string // what to do about it
}

func (e *LinkError) Error() string {
	if e.target == "" {
		return fmt.Sprintf("the symbolic link %s is not followed: %s", e.link, e.why)
	}
	return fmt.Sprintf("the symbolic link %s to %s is not followed: %s", e.link, e.target, e.why)
}

func (e *LinkError) Unwrap() error { return ErrOutsideRoot }

// firstLink is the first symbolic link on the way from the folder root to rel, for messages.
func firstLink(root, rel string) string {
	path := root
	for name := range strings.SplitSeq(rel, "/") {
		path = joinRoot(path, name)
		if info, err := os.Lstat(path); err != nil || info.Mode()&fs.ModeSymlink != 0 {
			break
		}
	}
	return path
}

// refusedInside is the error of linksInside.
func refusedInside(link, target string) error {
	return &LinkError{
		link: link, target: target, why: "it leads out of the document root",
		Hint: "follow_symlinks: owner follows links to what belongs to their owner or to root, follow_symlinks: yes follows all.",
	}
}

// refusedTarget is the error of a link to a protected name.
func refusedTarget(link, target, rule string) error {
	return &LinkError{
		link: link, target: target, why: "it leads to a name that is never served (" + rule + ")",
		Hint: "deny has the names that are never served; a name that begins with a dot and the source of a script never are.",
	}
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
	root  string // real path of the document root
	link  string // the last link of somebody else to what is root's, empty if there was none
	owner uint32 // of that link
}

// follow says whether a link may be followed; target is the real path of what it leads to, through all further links.
func (l *linkRule) follow(link string, owner uint32, target string, targetOwner uint32) error {
	switch {
	case below(l.root, target), owner == targetOwner:
		return nil
	case targetOwner == 0:
		l.link, l.owner = link, owner
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
		return &LinkError{
			link: l.link, target: real, why: fmt.Sprintf("it belongs to user %d and leads to what is root's in a folder of the system", l.owner),
			Hint: "follow_symlinks: owner follows such a link if it is root's, too (chown -h root), follow_symlinks: yes follows all.",
		}
	}
	return nil
}

func refusedOwner(link string, owner uint32, target string, targetOwner uint32) error {
	return &LinkError{
		link: link, target: target, why: fmt.Sprintf("it belongs to user %d and what it leads to belongs to user %d", owner, targetOwner),
		Hint: "follow_symlinks: owner follows links to what belongs to their owner or to root: make it belong to that user (chown -h for the link). follow_symlinks: yes follows all.",
	}
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
		log.Warn("symbolic link not followed", "link", err.link, "target", err.target, "why", err.why, "hint", err.Hint)
	}
}
