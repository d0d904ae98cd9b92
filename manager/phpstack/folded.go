package phpstack

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
)

// WriteFolded writes one line for each stack: its calls, outermost first, with semicolons between them, and how often it was seen. This
// is what flame graph programs read. Lines of files are not told apart. Where there is more than one pool, its name comes first.
func (p *Profile) WriteFolded(w io.Writer) error {
	counts := map[string]int{}
	for _, s := range p.stacks {
		counts[strings.Join(p.path(s), ";")] += s.count
	}
	stacks := make([]string, 0, len(counts))
	for s := range counts {
		stacks = append(stacks, s)
	}
	slices.Sort(stacks)
	b := bufio.NewWriter(w)
	for _, s := range stacks {
		fmt.Fprintf(b, "%s %d\n", s, counts[s])
	}
	return b.Flush()
}

// path is a stack's calls by name, outermost first.
func (p *Profile) path(s *sample) []string {
	path := make([]string, 0, len(s.frames)+1)
	if p.pools() > 1 {
		path = append(path, foldable("pool "+s.pool))
	}
	for _, f := range s.frames {
		path = append(path, foldable(f.label()))
	}
	return path
}

// pools is how many there are.
func (p *Profile) pools() int {
	names := map[string]bool{}
	for _, s := range p.stacks {
		names[s.pool] = true
	}
	return len(names)
}

// foldable is a name without what separates names and lines.
func foldable(name string) string {
	return strings.ReplaceAll(printable(name), ";", ":")
}
