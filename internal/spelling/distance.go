// Package spelling tells how far apart two words are, to say what was probably meant.
package spelling

import (
	"fmt"
	"slices"
	"strings"
)

// Distance counts the letters to be inserted, removed and changed to make b of a (Levenshtein); 0: they are the same.
func Distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// OneOf adds an error to errs if a value is none of those that a key may have.
func OneOf(errs *[]error, key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		*errs = append(*errs, fmt.Errorf("%s must be one of %s, not %q", key, strings.Join(allowed, ", "), value))
	}
}

// mostNames is how many names a message lists.
const mostNames = 10

// Some lists names for a message: the first ten, and how many more there are.
func Some(names []string) string {
	if len(names) <= mostNames {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:mostNames], ", "), len(names)-mostNames)
}
