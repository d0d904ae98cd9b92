package manager

import "testing"

func TestSomebodyIsNewAmongChildren(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		before, now string
		want        bool
	}{
		{"", "", false},
		{"", "7 ", true},
		{"7 ", "", false},
		{"7 8 9 ", "8 ", false},
		{"7 8 9 ", "7 9 ", false},
		{"7 8 9 ", "7 8 9 10 ", true},
		{"7 8 9 ", "8 9 10 ", true},
		{"7 8 9 ", "8 9 7 ", true}, // the number of one that has died, given again
		{"17 ", "7 ", true},
	} {
		if got := somebodyIsNew([]byte(c.before), []byte(c.now)); got != c.want {
			t.Errorf("from %q to %q: got %v", c.before, c.now, got)
		}
	}
}
