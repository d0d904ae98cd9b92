package site

import (
	"strings"

	"github.com/phpserve/phpserve/server/files"
)

// DefaultFileExtensions are the endings of URLs that look like files: what pages load, downloads, and scripts. Those of what
// scripts like to generate (xml, json, html, csv and so on) are not among them.
func DefaultFileExtensions() []string {
	return strings.Fields(".css .js .mjs .map .wasm .png .apng .jpg .jpeg .gif .webp .avif .jxl .bmp .ico .cur .svg .svgz .tif .tiff .heic " +
		".woff .woff2 .ttf .otf .eot .mp3 .m4a .aac .ogg .oga .opus .wav .flac .mp4 .m4v .webm .ogv .mov .avi .mkv .mpg .swf .vtt " +
		".zip .gz .tgz .bz2 .xz .zst .br .7z .rar .tar .iso .dmg .exe .msi .apk .deb .rpm .jar .pdf .doc .docx .xls .xlsx .ppt .pptx .odt .ods .odp .epub .txt " +
		".php .php3 .php4 .php5 .php7 .php8 .phtml .phar .inc .asp .aspx .ashx .jsp .jspx .do .cfm .cgi .pl .py .rb .sh .bat .ps1 .env .bak .old .sql .sqlite .log .ini .conf .yml .yaml .lock")
}

// looksLikeFile says whether the last segment of a path ends like a file, or, where scripts may have PATH_INFO, any segment is
// named like a script.
func (s *Site) looksLikeFile(urlPath string) bool {
	last := urlPath[strings.LastIndexByte(urlPath, '/')+1:]
	if dot := strings.LastIndexByte(last, '.'); dot > 0 && s.missing[files.Lower(last[dot:])] {
		return true
	}
	if s.Config.PathInfo == PathInfoOff {
		return s.isScript(last)
	}
	for segment := range strings.SplitSeq(urlPath, "/") {
		if s.isScript(segment) {
			return true
		}
	}
	return false
}
