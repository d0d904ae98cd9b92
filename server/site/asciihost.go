package site

import (
	"strings"

	"golang.org/x/net/idna"
)

// ASCIIHost is a host name, or *. and one, in ASCII. What is so already stays as it is.
func ASCIIHost(host string) (string, error) {
	if strings.IndexFunc(host, func(r rune) bool { return r > 0x7f }) < 0 {
		return host, nil
	}
	name, wild := strings.CutPrefix(host, "*.")
	profile := idna.New(idna.MapForLookup(), idna.BidiRule(), idna.Transitional(false), idna.StrictDomainName(false))
	ascii, err := profile.ToASCII(name)
	if wild {
		ascii = "*." + ascii
	}
	return ascii, err
}
