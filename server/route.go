package server

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"github.com/phpserve/phpserve/fastcgi"
	"github.com/phpserve/phpserve/server/files"
	"github.com/phpserve/phpserve/web"
)

// target is what a URL leads to; exactly one of its three kinds is set.
type target struct {
	static   string      // URL path of the file
	redirect string      // the same folder with a slash
	script   files.Found // PHP file, if scriptName is set

	scriptName, pathInfo string
}

// errNotFound is a URL that nothing answers.
var errNotFound = errors.New("no file, script or front controller answers this URL")

// router finds the target of a URL path in one site, noting its steps where somebody will read them.
type router struct {
	site  *site
	notes *[]web.Step // nil: nobody reads them
}

func (t *router) note(path, result string, ok bool) {
	if t.notes != nil {
		*t.notes = append(*t.notes, web.Step{Path: path, Result: result, OK: ok})
	}
}

// route decides, in this order: static file, script, folder, script with PATH_INFO, front controller. What exists but is
// protected is not found; the names of what does not exist are the application's own.
func (t *router) route(urlPath string) (*target, error) {
	if strings.HasSuffix(urlPath, "/") {
		return t.folder(urlPath)
	}
	f, err := t.site.root.Lookup(urlPath)
	switch {
	case err == nil && t.denied(urlPath, f.Dir):
		return nil, errNotFound
	case err == nil && f.Dir:
		return t.unslashedFolder(urlPath)
	case err == nil && f.Regular:
		return t.file(urlPath, f)
	case err == nil:
		t.note(urlPath, "neither a file nor a folder", false)
	case !isNotFound(err):
		t.note(urlPath, err.Error(), false)
		return nil, err
	default:
		t.note(urlPath, "not found", false)
	}
	return t.elsewhere(urlPath)
}

// denied says whether an existing file or folder is never served.
func (t *router) denied(urlPath string, folder bool) bool {
	rule, denied := t.site.protect.Denied(urlPath, folder)
	if denied {
		t.note(urlPath, "never served: "+rule, false)
	}
	return denied
}

// file is an existing file: a script, or static.
func (t *router) file(urlPath string, f files.Found) (*target, error) {
	if !t.site.isScript(urlPath) {
		return &target{static: urlPath}, nil
	}
	return &target{script: f, scriptName: cleanSlashes(urlPath)}, nil
}

// unslashedFolder answers for the URL of a folder that lacks the slash. Only an index file makes the folder a page, at the
// URL with the slash; else the front controller is asked as for any other URL, because routes may be named like folders.
// Sending these on, too, would be a loop, since frameworks take the slash off again.
func (t *router) unslashedFolder(urlPath string) (*target, error) {
	slashed := &target{redirect: cleanSlashes(urlPath) + "/"}
	switch index, err := t.index(urlPath + "/"); {
	case err != nil:
		return nil, err
	case index != nil:
		return slashed, nil
	}
	answer, err := t.elsewhere(urlPath)
	if errors.Is(err, errNotFound) {
		return slashed, nil // nothing answers there either, but it is the folder's name
	}
	return answer, err
}

// folder answers for a URL that ends with a slash: by an index file, or as if nothing were there.
func (t *router) folder(urlPath string) (*target, error) {
	if index, err := t.index(urlPath); index != nil || err != nil {
		return index, err
	}
	return t.elsewhere(urlPath)
}

// index is the index file of the folder at urlPath, which ends with a slash; nil if it has none. Whether there is a folder
// at all shows in its index file.
func (t *router) index(urlPath string) (*target, error) {
	for _, name := range t.site.cfg.Index {
		f, err := t.site.root.Lookup(urlPath + name)
		switch {
		case err == nil && f.Regular && t.denied(urlPath+name, false):
			return nil, errNotFound
		case err == nil && f.Regular:
			return t.file(urlPath+name, f)
		case err != nil && !isNotFound(err):
			t.note(urlPath+name, err.Error(), false)
			return nil, err
		}
		t.note(urlPath+name, "not found", false)
	}
	return nil, nil
}

// elsewhere looks for a script further left in the path, and then for the front controller.
func (t *router) elsewhere(urlPath string) (*target, error) {
	s := t.site
	if s.cfg.PathInfo != PathInfoOff {
		for script, pathInfo := range fastcgi.Candidates(urlPath, s.cfg.ScriptExtensions) {
			if pathInfo == "" {
				continue // looked up already
			}
			f, err := s.root.Lookup(script)
			if err == nil && f.Regular {
				if t.denied(script, false) {
					return nil, errNotFound
				}
				return &target{script: f, scriptName: cleanSlashes(script), pathInfo: pathInfo}, nil
			}
			if errors.Is(err, files.ErrOutsideRoot) {
				t.note(script, err.Error(), false)
				return nil, err
			}
			if err != nil || !f.Dir {
				t.note(script, "no such script", false)
				break // then nothing that lies below it in the path exists either
			}
			t.note(script, "a folder", false)
		}
	}
	if s.cfg.FrontController == "" {
		t.note(urlPath, "there is no front controller to ask", false)
		return nil, errNotFound
	}
	if len(s.missing) > 0 && s.looksLikeFile(urlPath) {
		t.note(urlPath, "looks like a file and is none; with missing_files: front_controller the front controller would be asked", false)
		return nil, errNotFound
	}
	name := "/" + s.cfg.FrontController
	f, err := s.root.Lookup(name)
	if errors.Is(err, files.ErrOutsideRoot) {
		t.note(name, err.Error(), false)
		return nil, err
	}
	if err != nil || !f.Regular {
		t.note(name, "the front controller was not found", false)
		return nil, errNotFound
	}
	found := &target{script: f, scriptName: name}
	if s.cfg.PathInfo == PathInfoRequired {
		found.pathInfo = urlPath
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
