package files

import (
	_ "embed"
	"fmt"
	"mime"
	"strings"
)

const octetStream = "application/octet-stream"

// mimeTypes is a table that others keep. It is part of the program, so that the same file has the same type on every host,
// whatever /etc/mime.types says there.
//
//go:embed mimetypes.txt
var mimeTypes string

// ownMimeTypes is what that table lacks, or has an older type for.
const ownMimeTypes = `
+ text/javascript cjs
+ text/vcard vcf
+ text/plain diff patch
+ text/x-component htc
+ application/yaml yaml yml
+ application/x-ndjson ndjson jsonl
- application/gzip tgz
- application/zstd zst
- audio/flac flac
- image/jpeg jfif
- video/mp4 m4v
- image/svg+xml svgz
`

// mediaType is what is known of files with an extension.
type mediaType struct {
	name         string // for Content-Type
	compressible bool   // precompressed siblings are worth looking for
	encoding     string // Content-Encoding of such files as they are; empty: none
}

// Types finds the media type of a file by the last extension of its name; nothing is guessed from content.
type Types map[string]mediaType

// NewTypes returns the types of a site. Text gets the charset, if one is given: which one a file is written in cannot
// be known, and a wrong one would outrank what the file says itself, in a meta element or a byte order mark (HTML,
// "Determining the character encoding"). own are entries such as .odg=TYPE that outrank the table.
func NewTypes(own []string, charset string) (Types, error) {
	types := make(Types, 1300)
	for line := range strings.SplitSeq(mimeTypes+ownMimeTypes, "\n") {
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[0] == "#" {
			continue
		}
		for _, ext := range fields[2:] {
			types[ext] = mediaType{name: withCharset(fields[1], charset), compressible: fields[0] == "+"}
		}
	}
	for _, entry := range own {
		ext, name, err := ParseType(entry)
		if err != nil {
			return nil, err
		}
		known := types[ext]
		known.name = withCharset(name, charset)
		known.compressible = known.compressible || strings.HasPrefix(name, "text/") || strings.HasSuffix(name, "+xml") || strings.HasSuffix(name, "+json")
		types[ext] = known
	}
	svgz := types["svgz"] // SVG that is stored compressed (SVG 1.1, appendix J)
	svgz.encoding, svgz.compressible = "gzip", false
	types["svgz"] = svgz
	return types, nil
}

// ParseType reads an entry such as .odg=application/vnd.oasis.opendocument.graphics. The dot may be missing.
func ParseType(entry string) (ext, name string, err error) {
	ext, name, ok := strings.Cut(entry, "=")
	ext = Lower(strings.TrimPrefix(ext, "."))
	name = strings.TrimSpace(name)
	if !ok || ext == "" || strings.ContainsAny(ext, "./\\ *") {
		return "", "", fmt.Errorf("types: %q must be an extension and its type, such as .odg=application/vnd.oasis.opendocument.graphics", entry)
	}
	if base, _, err := mime.ParseMediaType(name); err != nil || strings.Count(base, "/") != 1 || strings.ContainsAny(name, "\r\n") {
		return "", "", fmt.Errorf("types: %q is no media type for .%s: it must be like text/plain or text/plain; charset=iso-8859-1", name, ext)
	}
	return ext, name, nil
}

// ValidCharset says what is wrong with the name of a charset (RFC 2978 section 2.3).
func ValidCharset(charset string) error {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'+-^_`{}~"
	if strings.Trim(charset, allowed) != "" {
		return fmt.Errorf("charset must be the name of a character encoding such as utf-8 or iso-8859-1, or empty, not %q", charset)
	}
	return nil
}

// withCharset adds the charset to types of text that have no parameter.
func withCharset(name, charset string) string {
	if charset == "" || !strings.HasPrefix(name, "text/") || strings.Contains(name, ";") {
		return name
	}
	return name + "; charset=" + charset
}

// of returns the media type of a file with this name.
func (m Types) of(name string) mediaType {
	unknown := mediaType{name: octetStream}
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 || strings.IndexByte(name[dot:], '/') >= 0 {
		return unknown
	}
	var stack [64]byte // longer than any extension of the table
	ext := name[dot+1:]
	if len(ext) > len(stack) {
		return unknown
	}
	if t, ok := m[string(appendFolded(stack[:0], ext))]; ok {
		return t
	}
	return unknown
}
