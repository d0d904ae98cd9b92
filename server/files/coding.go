package files

import (
	"os"
	"strings"
)

// coding is a content coding (RFC 9110 section 8.4.1) with the ending of the
// files that hold it.
type coding struct {
	name string // as in Accept-Encoding and Content-Encoding
	ext  string
}

// Codings in the order in which the server prefers them: smallest first.
const (
	codingBrotli = iota
	codingZstd
	codingGzip
	numCodings
)

func codingOf(i int) coding {
	return [numCodings]coding{{"br", ".br"}, {"zstd", ".zst"}, {"gzip", ".gz"}}[i]
}

// acceptedCodings is what an Accept-Encoding field says, each weight in
// thousandths; 0 is "not acceptable".
type acceptedCodings struct {
	weight   [numCodings]int
	identity int
}

// parseAcceptEncoding reads the field's lines by RFC 9110 section 12.5.3: a
// coding that is not listed has the weight of "*", or is not acceptable;
// identity is acceptable unless it or "*" has weight 0, and then comes last
// unless a weight is given. The first of several mentions counts; an element
// with a malformed weight counts as not mentioned.
func parseAcceptEncoding(lines []string) acceptedCodings {
	const unset = -1
	a := acceptedCodings{weight: [numCodings]int{unset, unset, unset}, identity: unset}
	star := unset
	for _, line := range lines {
		for line != "" {
			var element string
			element, line, _ = strings.Cut(line, ",")
			name, params, hasParams := strings.Cut(element, ";")
			q := 1000
			if hasParams {
				var ok bool
				if q, ok = parseWeight(params); !ok {
					continue
				}
			}
			slot := &star
			switch name = strings.Trim(name, " \t"); {
			case name == "*":
			case strings.EqualFold(name, "identity"):
				slot = &a.identity
			case strings.EqualFold(name, "br"):
				slot = &a.weight[codingBrotli]
			case strings.EqualFold(name, "zstd"):
				slot = &a.weight[codingZstd]
			case strings.EqualFold(name, "gzip"), strings.EqualFold(name, "x-gzip"):
				slot = &a.weight[codingGzip]
			default:
				continue
			}
			if *slot == unset {
				*slot = q
			}
		}
	}
	for i := range a.weight {
		if a.weight[i] == unset {
			a.weight[i] = max(star, 0)
		}
	}
	if a.identity == unset {
		a.identity = 1 // acceptable, after everything that has a weight
		if star == 0 {
			a.identity = 0
		}
	}
	return a
}

// parseWeight reads ";q=0.123" without its semicolon, in thousandths
// (RFC 9110 section 12.4.2).
func parseWeight(s string) (int, bool) {
	s = strings.Trim(s, " \t")
	if len(s) < 3 || s[0]|0x20 != 'q' || s[1] != '=' {
		return 0, false
	}
	whole, fraction, _ := strings.Cut(s[2:], ".")
	if len(fraction) > 3 || whole != "0" && whole != "1" {
		return 0, false
	}
	q, unit := 0, 100
	for i := 0; i < len(fraction); i++ {
		if fraction[i] < '0' || fraction[i] > '9' {
			return 0, false
		}
		q += int(fraction[i]-'0') * unit
		unit /= 10
	}
	if whole == "1" {
		if q != 0 {
			return 0, false
		}
		q = 1000
	}
	return q, true
}

// next returns the best coding that is better than identity and not in tried,
// or -1.
func (a *acceptedCodings) next(tried [numCodings]bool) int {
	best := -1
	for i, w := range a.weight {
		if !tried[i] && w > 0 && w >= a.identity && (best < 0 || w > a.weight[best]) {
			best = i
		}
	}
	return best
}

// openSibling opens the best precompressed sibling of fnd that the client
// accepts: a regular file inside the document root with the coding's ending
// behind the whole name, not older than fnd, so that a forgotten one never
// hides a change. The index of the coding is -1 when there is none.
func (s *Static) openSibling(a acceptedCodings, fnd Found) (*os.File, Found, int) {
	var tried [numCodings]bool
	for {
		i := a.next(tried)
		if i < 0 {
			return nil, Found{}, -1
		}
		tried[i] = true
		f, sibling, err := s.root.Open(fnd.url + codingOf(i).ext)
		if err != nil {
			continue
		}
		if sibling.mtime.Before(fnd.mtime) {
			_ = f.Close()
			continue
		}
		return f, sibling, i
	}
}
