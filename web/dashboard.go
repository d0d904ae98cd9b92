package web

import (
	"embed"
	"fmt"
)

//go:embed dashboard
var dashboardFiles embed.FS

// DashboardFile is a file of the dashboard.
type DashboardFile struct {
	Type    string // media type, for Content-Type
	Content []byte
}

// Dashboard returns the files of the dashboard by their names. They ask for nothing but each other and the addresses below /api.
func Dashboard() map[string]DashboardFile {
	files := map[string]DashboardFile{}
	for name, kind := range map[string]string{
		"index.html": "text/html; charset=utf-8", "dashboard.css": "text/css; charset=utf-8", "dashboard.js": "text/javascript; charset=utf-8",
		"charts.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml",
	} {
		content, err := dashboardFiles.ReadFile("dashboard/" + name)
		if err != nil {
			panic(fmt.Sprintf("internal error: %v", err)) // it is embedded
		}
		files[name] = DashboardFile{kind, content}
	}
	return files
}
