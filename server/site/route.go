package site

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"github.com/phpserve/phpserve/fastcgi"
	"github.com/phpserve/phpserve/server/files"
	"github.com/phpserve/phpserve/web"
)

// Target is what a URL leads to; exactly one of its three kinds is set.
type Target struct {
	Static   string      // URL path of the file
	Redirect string      // the same folder with a slash
	Script   files.Found // PHP file, if scriptName is set

	ScriptName, PathInfo string
}

// ErrNotFound is a URL that nothing answers.
var ErrNotFound = errors.New("no file, script or front controller answers this URL")

// Router finds the target of a URL path in one site, noting its steps where somebody will read them.
type Router struct {
	Site  *Site
	Notes *[]web.Step // nil: nobody reads them
}

func (t *Router) note(path, result string, ok bool) {
	if t.Notes != nil {
		*t.Notes = append(*t.Notes, web.Step{Path: path, Result: result, OK: ok})
	}
}

// noteError notes what ends the search. Which link it is that is not followed, and why, is what the answer says as a whole.
func (t *Router) noteError(path string, err error) {
	if errors.Is(err, files.ErrOutsideRoot) {
		t.note(path, "behind a symbolic link that is not followed", false)
		return
	}
	t.note(path, err.Error(), false)
}

// Route decides, in this order: static file, script, folder, script with PATH_INFO, front controller. What exists but is
// protected is not found; the names of what does not exist are the application's own.
func (t *Router) Route(urlPath string) (*Target, error) {
	if strings.HasSuffix(urlPath, "/") {
		return t.folder(urlPath)
	}
	f, err := t.Site.Root.Lookup(urlPath)
	switch {
	case err == nil && t.denied(urlPath, f.Dir):
		return nil, ErrNotFound
	case err == nil && f.Dir:
		return t.unslashedFolder(urlPath)
	case err == nil && f.Regular:
		return t.file(urlPath, f)
	case err == nil:
		t.note(urlPath, "neither a file nor a folder", false)
	case !isNotFound(err):
		t.noteError(urlPath, err)
		return nil, err
	default:
		t.note(urlPath, "not found", false)
	}
	return t.elsewhere(urlPath)
}

// denied says whether an existing file or folder is never served.
func (t *Router) denied(urlPath string, folder bool) bool {
	rule, denied := t.Site.protect.Denied(urlPath, folder)
	if denied {
		t.note(urlPath, "never served: "+rule, false)
	}
	return denied
}

// file is an existing file: a script, or static.
func (t *Router) file(urlPath string, f files.Found) (*Target, error) {
	if !t.Site.isScript(urlPath) {
		return &Target{Static: urlPath}, nil
	}
	return &Target{Script: f, ScriptName: cleanSlashes(urlPath)}, nil
}

// unslashedFolder answers for the URL of a folder that lacks the slash. Only an index file makes the folder a page, at the
// URL with the slash; else the front controller is asked as for any other URL, because routes may be named like folders.
// Sending these on, too, would be a loop, since frameworks take the slash off again.
func (t *Router) unslashedFolder(urlPath string) (*Target, error) {
	slashed := &Target{Redirect: cleanSlashes(urlPath) + "/"}
	switch index, err := t.index(urlPath + "/"); {
	case err != nil:
		return nil, err
	case index != nil:
		return slashed, nil
	}
	answer, err := t.elsewhere(urlPath)
	if errors.Is(err, ErrNotFound) {
		return slashed, nil // nothing answers there either, but it is the folder's name
	}
	return answer, err
}

// folder answers for a URL that ends with a slash: by an index file, or as if nothing were there.
func (t *Router) folder(urlPath string) (*Target, error) {
	if index, err := t.index(urlPath); index != nil || err != nil {
		return index, err
	}
	return t.elsewhere(urlPath)
}

// index is the index file of the folder at urlPath, which ends with a slash; nil if it has none. Whether there is a folder
// at all shows in its index file.
func (t *Router) index(urlPath string) (*Target, error) {
	for _, name := range t.Site.Config.Index {
		f, err := t.Site.Root.Lookup(urlPath + name)
		switch {
		case err == nil && f.Regular && t.denied(urlPath+name, false):
			return nil, ErrNotFound
		case err == nil && f.Regular:
			return t.file(urlPath+name, f)
		case err != nil && !isNotFound(err):
			t.noteError(urlPath+name, err)
			return nil, err
		}
		t.note(urlPath+name, "not found", false)
	}
	return nil, nil
}

// elsewhere looks for a script further left in the path, and then for the front controller.
func (t *Router) elsewhere(urlPath string) (*Target, error) {
	s := t.Site
	if s.Config.PathInfo != PathInfoOff {
		for script, pathInfo := range fastcgi.Candidates(urlPath, s.Config.ScriptExtensions) {
			if pathInfo == "" {
				continue // looked up already
			}
			f, err := s.Root.Lookup(script)
			if err == nil && f.Regular {
				if t.denied(script, false) {
					return nil, ErrNotFound
				}
				return &Target{Script: f, ScriptName: cleanSlashes(script), PathInfo: pathInfo}, nil
			}
			if errors.Is(err, files.ErrOutsideRoot) {
				t.noteError(script, err)
				return nil, err
			}
			if err != nil || !f.Dir {
				t.note(script, "no such script", false)
				break // then nothing that lies below it in the path exists either
			}
			t.note(script, "a folder", false)
		}
	}
	if s.Config.FrontController == "" {
		t.note(urlPath, "there is no front controller to ask", false)
		return nil, ErrNotFound
	}
	if len(s.missing) > 0 && s.looksLikeFile(urlPath) {
		t.note(urlPath, "looks like a file and is none; with missing_files: front_controller the front controller would be asked", false)
		return nil, ErrNotFound
	}
	name := "/" + s.Config.FrontController
	f, err := s.Root.Lookup(name)
	if errors.Is(err, files.ErrOutsideRoot) {
		t.noteError(name, err)
		return nil, err
	}
	if err != nil || !f.Regular {
		t.note(name, "the front controller was not found", false)
		return nil, ErrNotFound
	}
	found := &Target{Script: f, ScriptName: name}
	if s.Config.PathInfo == PathInfoRequired {
		found.PathInfo = urlPath
	}
	return found, nil
}

// isNotFound says whether err is the absence of a file rather than a refusal or failure. A name that is too long for the
// file system, or that runs through a file as if it were a folder, does not exist.
func isNotFound(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// cleanSlashes makes one slash of several, so that a redirect cannot name another host and SCRIPT_NAME is one path.
func cleanSlashes(p string) string {
	if !strings.Contains(p, "//") {
		return p
	}
	return path.Clean(p)
}
