package server

import (
	"strings"

	"github.com/phpserve/phpserve/fastcgi"
)

// fpmParams are the FastCGI parameters of a web server's request, in its order. Of one that comes twice the last counts, as in
// php-fpm (main/fastcgi.c:fcgi_hash_set).
type fpmParams struct {
	list  []fpmParam
	index map[string]int // place in list
	shown []fpmParam     // sent in front of the list
}

type fpmParam struct {
	name, value string
	gone        bool
}

// decodeFPMParams decodes name-value pairs (FastCGI 1.0 §3.4).
func decodeFPMParams(b []byte) (*fpmParams, error) {
	const usual = 32
	p := &fpmParams{list: make([]fpmParam, 0, usual), index: make(map[string]int, usual)}
	text := string(b) // once for all names and values
	for len(b) > 0 {
		name, value, rest, err := fastcgi.NextParam(b)
		if err != nil {
			return nil, err
		}
		end := len(text) - len(rest)
		p.set(text[end-len(value)-len(name):end-len(value)], text[end-len(value):end])
		b = rest
	}
	return p, nil
}

// lookup returns the value of a parameter, which may be empty.
func (p *fpmParams) lookup(name string) (value string, ok bool) {
	i, ok := p.index[name]
	if !ok || p.list[i].gone {
		return "", false
	}
	return p.list[i].value, true
}

// get returns the value of a parameter; empty if there is none.
func (p *fpmParams) get(name string) string {
	value, _ := p.lookup(name)
	return value
}

// set gives a parameter a value.
func (p *fpmParams) set(name, value string) {
	if i, ok := p.index[name]; ok {
		p.list[i].value, p.list[i].gone = value, false
		return
	}
	p.index[name] = len(p.list)
	p.list = append(p.list, fpmParam{name: name, value: value})
}

// remove takes a parameter away.
func (p *fpmParams) remove(name string) {
	if i, ok := p.index[name]; ok {
		p.list[i].gone = true
	}
}

// keep remembers a value under ORIG_ in front of the parameter's name.
func (p *fpmParams) keep(name, value string) { p.set("ORIG_"+name, value) }

// PHP has a name with a dot in $_SERVER with an underscore in the dot's place (main/php_variables.c:php_register_variable_ex), while
// php-cgi looks for its own parameters by their exact names. So a script can be shown a value that php-cgi does not act on. Only getenv()
// tells the two names apart.
func dotted(name string) string { return strings.Replace(name, "_", ".", 1) }

// hide has scripts see a parameter, but not php-cgi.
func (p *fpmParams) hide(name string) {
	if i, ok := p.index[name]; ok && !p.list[i].gone {
		p.list[i].name = dotted(name)
	}
}

// disguise has php-cgi see a value, and scripts another one: of two parameters that are the same in $_SERVER the one sent first counts
// (main/fastcgi.c:fcgi_hash_apply).
func (p *fpmParams) disguise(name, value, shown string) {
	p.set(name, value)
	p.shown = append(p.shown, fpmParam{name: dotted(name), value: shown})
}

// appendTo encodes the parameters.
func (p *fpmParams) appendTo(dst []byte) []byte {
	for _, q := range p.shown {
		dst = fastcgi.AppendParam(dst, q.name, q.value)
	}
	for _, q := range p.list {
		if !q.gone {
			dst = fastcgi.AppendParam(dst, q.name, q.value)
		}
	}
	return dst
}
