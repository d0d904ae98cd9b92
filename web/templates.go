package web

import (
	"embed"
	"html/template"
	"sync"
)

//go:embed plain.html detail.html
var pages embed.FS

// templates parses the embedded pages once, when the first error is shown:
// a program that shows none pays nothing.
var templates = sync.OnceValue(func() *template.Template {
	return template.Must(template.ParseFS(pages, "*.html"))
})
