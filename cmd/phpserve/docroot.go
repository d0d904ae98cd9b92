package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/phpserve/phpserve/safefile"
)

// publicFolders are the usual names of the document root inside a project, in the order they are tried.
var publicFolders = []string{"public", "web", "docroot", "htdocs"}

// guessRoot finds the document root of the project in dir: what composer.json says, a usual folder, or dir itself.
func guessRoot(dir string, index []string) (root, why string, err error) {
	if public, err := composerPublicDir(dir); err != nil {
		return "", "", err
	} else if public != "" {
		return filepath.Join(dir, public), "extra.public-dir of composer.json", linkOnTheWay(dir, public)
	}
	for _, name := range publicFolders {
		path := filepath.Join(dir, name)
		if err := linkOnTheWay(dir, name); err != nil {
			return "", "", err
		}
		if isDir(path) {
			return path, "the usual folder", nil
		}
	}
	if indexIn(dir, index) == "" {
		for _, name := range moreFolders {
			if path := filepath.Join(dir, name); indexIn(path, index) != "" && linkOnTheWay(dir, name) == nil {
				return path, "the only usual folder with an index file", nil
			}
		}
	}
	return dir, "this folder", nil
}

// linkOnTheWay refuses a guess that a symbolic link inside the project leads to, for root: PHP would run as the owner of what it points
// to, and whoever can write into the project has put it there.
func linkOnTheWay(dir, guess string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	path := dir
	for part := range strings.SplitSeq(filepath.Clean(guess), string(filepath.Separator)) {
		path = filepath.Join(path, part)
		if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			return &hintError{
				fmt.Errorf("cannot guess the document root: %s is a symbolic link, which root does not follow by itself", path),
				"if it is meant, name it: phpserve run " + filepath.Join(dir, guess),
			}
		}
	}
	return nil
}

// checkRoot refuses a document root that is missing, or that is the root of a project and not its public folder: its
// sources, secrets and dependencies would be served. Who names a front controller knows the folder.
func checkRoot(s *siteSettings) error {
	root := s.Root
	info, err := os.Stat(root)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &hintError{
			fmt.Errorf("cannot serve %s: there is no such folder", root),
			"name the folder that holds index.php: phpserve run DIR",
		}
	case err != nil:
		return fmt.Errorf("cannot serve %s: %v", root, err)
	case !info.IsDir():
		return &hintError{
			fmt.Errorf("cannot serve %s: it is not a folder", root),
			"name the folder: phpserve run " + filepath.Dir(root),
		}
	}
	if !exists(filepath.Join(root, "composer.json")) || s.FrontController != frontAuto || indexIn(root, s.Index) != "" {
		return nil
	}
	hint := "name the folder that is meant for the public: phpserve run DIR"
	for _, name := range slices.Concat(publicFolders, moreFolders) {
		if isDir(filepath.Join(root, name)) {
			hint = "serve its public folder: phpserve run " + filepath.Join(root, name)
			break
		}
	}
	return &hintError{fmt.Errorf("cannot serve %s: it holds composer.json but no index.php, so it is a project and not its document root", root), hint}
}

// composerLimit is the size of the largest composer.json that is looked into, in bytes.
const composerLimit = 4 << 20

// composerPublicDir is extra.public-dir of dir/composer.json, empty if there is none.
func composerPublicDir(dir string) (string, error) {
	file := filepath.Join(dir, "composer.json")
	text, err := safefile.ReadRegular(file, composerLimit)
	if err != nil {
		return "", nil //nolint:nilerr // no composer.json, no opinion
	}
	var composer struct {
		Extra struct {
			PublicDir string `json:"public-dir"`
		} `json:"extra"`
	}
	if err := json.Unmarshal(text, &composer); err != nil {
		return "", fmt.Errorf("cannot read %s: %v", file, err)
	}
	public := strings.TrimSuffix(composer.Extra.PublicDir, "/")
	if strings.ContainsRune(public, 0) {
		return "", fmt.Errorf("cannot use extra.public-dir %q of %s: no folder has such a name", public, file)
	}
	if public != "" && !filepath.IsLocal(public) {
		return "", fmt.Errorf("cannot use extra.public-dir %q of %s: it leads out of the project", public, file)
	}
	return public, nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
