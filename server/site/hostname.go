package site

import (
	"errors"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// ASCIIHost is a host name, or *. and one, in ASCII. What is so already stays as it is.
func ASCIIHost(host string) (string, error) {
	if strings.IndexFunc(host, func(r rune) bool { return r > 0x7f }) < 0 {
		return host, nil
	}
	if !utf8.ValidString(host) {
		return "", errors.New("it is not UTF-8")
	}
	name, wild := strings.CutPrefix(host, "*.")
	profile := idna.New(idna.MapForLookup(), idna.BidiRule(), idna.Transitional(false), idna.StrictDomainName(false))
	ascii, err := profile.ToASCII(name)
	if wild {
		ascii = "*." + ascii
	}
	return ascii, err
}

// HostKey is what the spellings of one host name have in common: case and a dot at the end make no other name (RFC 1034 §3.1).
func HostKey(host string) string {
	return strings.TrimSuffix(strings.ToLower(host), ".")
}

// validPattern reports whether a site can have this as one of its hosts: a name that requests can be for, or *. and one.
func validPattern(host string) bool {
	ascii, err := ASCIIHost(host)
	return err == nil && ValidHostName(strings.TrimPrefix(ascii, "*."))
}

// How long a host name and one of its labels may be (RFC 1035 §2.3.4).
const (
	maxHostName  = 253
	maxHostLabel = 63
)

// ValidHostName accepts labels of letters, digits, - inside (RFC 1123 §2.1) and _, which is not allowed there but used. One dot at the
// end stands for the root of all names.
func ValidHostName(name string) bool {
	name = strings.TrimSuffix(name, ".")
	if len(name) > maxHostName {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > maxHostLabel || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			c := label[i]
			if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}
