package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// moreFolders are names of document roots that are only guessed where they hold an index file and the project does not.
var moreFolders = []string{"www", "html", "httpdocs", "public_html", "wwwroot", "webroot", "pub"}

// indexIn is the first index file of a folder, empty if it has none.
func indexIn(folder string, names []string) string {
	for _, name := range names {
		if info, err := os.Stat(filepath.Join(folder, name)); err == nil && info.Mode().IsRegular() {
			return name
		}
	}
	return ""
}

// publicFolderOf is the folder of a project that holds an index file and has a usual name, empty if there is none.
func publicFolderOf(dir string, index []string) string {
	for _, name := range slices.Concat(publicFolders, moreFolders) {
		if path := filepath.Join(dir, name); indexIn(path, index) != "" {
			return path
		}
	}
	return ""
}

// oddRoot says what is odd about a document root that can be served, empty if nothing is. It is grave where serving it would
// show what is not meant to be seen, and nobody has said that it is meant.
func oddRoot(s *siteSettings) (odd, hint string, grave bool) {
	index := indexIn(s.Root, s.Index)
	said := s.FrontController != frontAuto // then the operator knows what is there
	names := strings.Join(s.Index, " nor ")
	if what := systemFolder(s.Root); what != "" {
		switch {
		case what == homeFolder && (index != "" || said):
			return "", "", false // that of an account that is the site's
		case index != "" || said:
			return fmt.Sprintf("%s is served, which is %s", s.Root, what), "", false
		}
		return fmt.Sprintf("it is %s and has no %s", what, names),
			"name the folder that holds index.php: phpserve run DIR (if you do mean this one, say so with --front-controller off)", true
	}
	if index != "" || said {
		return "", "", false
	}
	if public := publicFolderOf(s.Root, s.Index); public != "" {
		return fmt.Sprintf("it has no %s, but %s has: it looks like a project and not like its document root", names, public),
			"serve its public folder: phpserve run " + public + " (if you do mean this one, say so with --front-controller off)", true
	}
	if entries, err := os.ReadDir(s.Root); err == nil && len(entries) == 0 {
		return s.Root + " is empty: every URL gets 404 until something is in it", "", false
	}
	return fmt.Sprintf("%s has no %s: the URL / gets 404", s.Root, names), "", false
}

const homeFolder = "your home folder"

// systemFolder says what a folder is that no site lives in, empty for others.
func systemFolder(root string) string {
	abs, err := filepath.Abs(root)
	if err != nil {
		return ""
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		abs = real
	}
	if abs == filepath.VolumeName(abs)+string(filepath.Separator) {
		return "the root of the file system"
	}
	if home, err := os.UserHomeDir(); err == nil && filepath.Clean(home) == abs {
		return homeFolder
	}
	switch abs {
	case "/etc", "/usr", "/var", "/home", "/root", "/proc", "/sys", "/dev", "/boot", "/run", "/bin", "/sbin", "/lib":
		return "a folder of the system"
	}
	return ""
}
