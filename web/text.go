package web

import (
	"fmt"
	"strings"
)

// Text returns the page as text/plain, for clients that do not ask for HTML. It
// tells the same as the HTML form and ends with a newline.
func (p ErrorPage) Text() string {
	v := p.view()
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s\n", v.Status, v.Reason)
	if v.Detail == nil {
		fmt.Fprintf(&b, "%s\n", v.Sentence)
	} else {
		v.Detail.text(&b)
	}
	if v.RequestID != "" {
		fmt.Fprintf(&b, "\nRequest id: %s\n", v.RequestID)
	}
	return b.String()
}

func (d *ErrorDetail) text(b *strings.Builder) {
	fmt.Fprintf(b, "%s\n", d.Summary)
	if d.Hint != "" {
		fmt.Fprintf(b, "Hint: %s\n", d.Hint)
	}
	if len(d.Steps) > 0 {
		b.WriteString("\nLooked for, in this order:\n")
	}
	for i, s := range d.Steps {
		mark := "-"
		if s.OK {
			mark = "+"
		}
		fmt.Fprintf(b, "%3d. %s %s: %s\n", i+1, mark, s.Path, s.Result)
	}
	if d.Stderr != "" {
		// The bar keeps what a script wrote apart from what phpserve says.
		fmt.Fprintf(b, "\nPHP wrote:\n  | %s\n", strings.ReplaceAll(d.Stderr, "\n", "\n  | "))
	}
	fmt.Fprintf(b, "\nRequest: %s %s\n", d.Method, d.URL)
	if d.Script != "" {
		fmt.Fprintf(b, "Script: %s\n", d.Script)
	}
	if w := d.Worker(); w != "" {
		fmt.Fprintf(b, "Worker: %s\n", w)
	}
	fmt.Fprintf(b, "Document root: %s\n", d.DocumentRoot)
	fmt.Fprintf(b, "Front controller: %s\n", orNone(d.FrontController))
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
