package server

import "strings"

// serverField says whether a field of a response is meant for the web server, which does what it says and keeps it: the path in it
// is no client's business.
func serverField(name string) bool {
	switch name {
	case "X-Sendfile", "X-Sendfile2", "X-Sendfile-Temporary", "X-Lighttpd-Send-File", "X-Lighttpd-Send-Tempfile", "X-Litespeed-Location":
		return true
	}
	return strings.HasPrefix(name, "X-Accel-")
}

// takeServerFields takes such fields off the script's head. phpserve does not do what they say, which it tells the operator:
// without them a download is an empty page. X-Accel-Buffering asks for what phpserve does anyway, so nothing is said of it; it
// goes on to a trusted proxy, which may be an nginx that buffers.
func (y *relay) takeServerFields() {
	for name, values := range y.head.Header {
		if name[0] != 'X' || !serverField(name) {
			continue
		}
		if name == "X-Accel-Buffering" {
			if y.s.trusted.Contains(y.x.peer.Addr()) {
				continue
			}
		} else if y.s.rare.due(name, y.x.script) {
			y.s.log.Warn("phpserve does not do what this field of a script asks for: it was left out", "field", name,
				"value", values[0], "pool", y.x.pool, "script", y.x.script, "request_id", y.x.id)
		}
		delete(y.head.Header, name)
	}
}
