package phpstack

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"hash/fnv"
	"html"
	"io"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/phpserve/phpserve/linelog"
)

// Measures of the flame graph, in its own units.
const (
	graphWidth  = 1200
	graphRow    = 18
	graphMargin = 10
	graphTop    = 46
	graphLetter = 7.0 // the width of one
	graphLeast  = 0.3 // narrower calls are left out
	graphLevels = 400 // deeper ones, too
)

// node is one call in all the stacks that agree down to it.
type node struct {
	name     string
	count    int
	children map[string]*node
}

// WriteFlameGraph writes an SVG image that needs nothing besides itself, and has no script in it: each call is a bar above those it
// made, as wide as its share of the samples, in alphabetical order. Pointing at a bar shows its name, its number of samples and its
// share.
func (p *Profile) WriteFlameGraph(w io.Writer, title string) error {
	root := &node{name: "all", children: map[string]*node{}}
	for _, s := range p.stacks {
		at := root
		at.count += s.count
		for i, name := range p.path(s) {
			if i == graphLevels {
				break
			}
			if at.children[name] == nil {
				at.children[name] = &node{name: name, children: map[string]*node{}}
			}
			at = at.children[name]
			at.count += s.count
		}
	}
	b := bufio.NewWriter(w)
	height := graphTop + root.levels(root.scale())*graphRow + graphMargin
	kind := "wall-clock time"
	if p.OnCPU {
		kind = "processor time"
	}
	fmt.Fprintf(b, `<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" aria-label="%s"
 font-family="ui-monospace,monospace" font-size="11">
<style>.c:hover rect{stroke:#000;stroke-width:1}text{pointer-events:none;fill:#111}</style>
<rect width="100%%" height="100%%" fill="#fff"/>
<text x="%d" y="20" font-size="15">%s</text>
<text x="%d" y="37">%s</text>
`, graphWidth, height, graphWidth, height, markup(title), graphMargin, markup(title), graphMargin,
		markup(fmt.Sprintf("%d samples of %s, one each %v", p.Samples, kind, p.Period.Round(10*time.Microsecond))))
	if root.count == 0 {
		fmt.Fprintf(b, "<text x=\"%d\" y=\"%d\">Nothing ran.</text>\n", graphMargin, graphTop+graphRow-5)
	} else {
		root.draw(b, graphMargin, graphTop, root)
	}
	fmt.Fprintln(b, "</svg>")
	return b.Flush()
}

// WriteFlameGraphPage writes the image of WriteFlameGraph in an HTML page, for who opens pages more easily than images.
func (p *Profile) WriteFlameGraphPage(w io.Writer, title string) error {
	if _, err := fmt.Fprintf(w, "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>%s</title>\n", markup(title)); err != nil {
		return err
	}
	var image bytes.Buffer
	if err := p.WriteFlameGraph(&image, title); err != nil {
		return err
	}
	_, svg, _ := bytes.Cut(image.Bytes(), []byte("?>\n")) // the XML declaration has no place in HTML
	_, err := w.Write(svg)
	return err
}

// scale is how wide one sample is.
func (n *node) scale() float64 {
	return (graphWidth - 2*graphMargin) / float64(max(n.count, 1))
}

// levels is how many rows the bars need.
func (n *node) levels(scale float64) int {
	deepest := 0
	for _, c := range n.children {
		if float64(c.count)*scale >= graphLeast {
			deepest = max(deepest, c.levels(scale))
		}
	}
	return deepest + 1
}

// draw writes a bar and those beneath it.
func (n *node) draw(b *bufio.Writer, x, y float64, root *node) {
	width := float64(n.count) * root.scale()
	if width < graphLeast {
		return
	}
	fmt.Fprintf(b, `<g class="c"><title>%s: %d samples, %.1f %%</title><rect x="%.1f" y="%.0f" width="%.1f" height="%d" fill="%s"/>`,
		markup(n.name), n.count, 100*float64(n.count)/float64(root.count), x, y, width, graphRow-1, colour(n.name))
	if letters := int((width - 4) / graphLetter); letters >= 3 {
		fmt.Fprintf(b, `<text x="%.1f" y="%.0f">%s</text>`, x+3, y+graphRow-5, markup(shorten(n.name, letters)))
	}
	fmt.Fprintln(b, "</g>")
	children := make([]*node, 0, len(n.children))
	for _, c := range n.children {
		children = append(children, c)
	}
	slices.SortFunc(children, func(a, b *node) int { return cmp.Compare(a.name, b.name) })
	for _, c := range children {
		c.draw(b, x, y+graphRow, root)
		x += float64(c.count) * root.scale()
	}
}

// shorten keeps the end of a name, which tells more than its beginning: a method, or a file's own name.
func shorten(name string, letters int) string {
	if utf8.RuneCountInString(name) <= letters {
		return name
	}
	runes := []rune(name)
	return "…" + string(runes[len(runes)-letters+1:])
}

// colour is a warm one, the same each time for the same name.
func colour(name string) string {
	h := fnv.New32a()
	io.WriteString(h, name) //nolint:errcheck // a hash takes everything
	n := h.Sum32()
	return fmt.Sprintf("hsl(%d,%d%%,%d%%)", 12+n%42, 75+n>>8%20, 62+n>>16%14)
}

// markup is text that is safe in XML. What no XML may hold is replaced.
func markup(s string) string { return html.EscapeString(printable(s)) }

// printable is one line of valid UTF-8.
func printable(s string) string {
	clean := []rune(linelog.Visible(string([]rune(s))))
	for i, r := range clean {
		if r == 0xfffe || r == 0xffff {
			clean[i] = utf8.RuneError
		}
	}
	return string(clean)
}
