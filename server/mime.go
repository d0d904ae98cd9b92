package server

import "strings"

// contentType returns the media type for a file name, by its last extension,
// and whether precompressed siblings of such a file are worth looking for.
//
// The table is part of the program: the same file has the same type on every
// host, whatever /etc/mime.types says, and nothing is guessed from content.
// Text is UTF-8. JSON has no charset parameter (RFC 8259 section 11), and XML
// names its encoding inside (RFC 7303 section 3).
func contentType(name string) (mediaType string, compressible bool) {
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 || strings.IndexByte(name[dot:], '/') >= 0 {
		return octetStream, false
	}
	var stack [16]byte // no extension of the table is longer
	ext := name[dot+1:]
	if len(ext) > len(stack) {
		return octetStream, false
	}
	lower := appendFolded(stack[:0], ext)
	if t := textType(string(lower)); t != "" {
		return t, true
	}
	if t := binaryType(string(lower)); t != "" {
		return t, false
	}
	return octetStream, false
}

const octetStream = "application/octet-stream"

// textType holds the types that compress well, text or not.
func textType(ext string) string {
	switch ext {
	case "html", "htm", "shtml":
		return "text/html; charset=utf-8"
	case "css":
		return "text/css; charset=utf-8"
	case "js", "mjs", "cjs": // RFC 9239
		return "text/javascript; charset=utf-8"
	case "json", "map":
		return "application/json"
	case "jsonld":
		return "application/ld+json"
	case "geojson":
		return "application/geo+json"
	case "webmanifest":
		return "application/manifest+json"
	case "ndjson", "jsonl":
		return "application/x-ndjson"
	case "txt", "text", "conf", "diff", "patch", "srt":
		return "text/plain; charset=utf-8"
	case "md", "markdown":
		return "text/markdown; charset=utf-8"
	case "csv":
		return "text/csv; charset=utf-8"
	case "tsv":
		return "text/tab-separated-values; charset=utf-8"
	case "ics":
		return "text/calendar; charset=utf-8"
	case "vcf":
		return "text/vcard; charset=utf-8"
	case "vtt":
		return "text/vtt; charset=utf-8"
	case "appcache":
		return "text/cache-manifest; charset=utf-8"
	case "htc":
		return "text/x-component; charset=utf-8"
	case "yaml", "yml": // RFC 9512
		return "application/yaml"
	case "xml", "xsd", "rng":
		return "application/xml"
	case "xsl", "xslt":
		return "application/xslt+xml"
	case "xhtml", "xht":
		return "application/xhtml+xml"
	case "rss":
		return "application/rss+xml"
	case "atom":
		return "application/atom+xml"
	case "rdf":
		return "application/rdf+xml"
	case "owl":
		return "application/owl+xml"
	case "kml":
		return "application/vnd.google-earth.kml+xml"
	case "gpx":
		return "application/gpx+xml"
	case "mathml":
		return "application/mathml+xml"
	case "mpd":
		return "application/dash+xml"
	case "m3u8":
		return "application/vnd.apple.mpegurl"
	case "svg":
		return "image/svg+xml"
	case "ico":
		return "image/vnd.microsoft.icon"
	case "bmp":
		return "image/bmp"
	case "ttf":
		return "font/ttf"
	case "otf":
		return "font/otf"
	case "ttc":
		return "font/collection"
	case "eot":
		return "application/vnd.ms-fontobject"
	case "wasm":
		return "application/wasm"
	case "rtf":
		return "application/rtf"
	case "ps", "eps", "ai":
		return "application/postscript"
	case "gltf":
		return "model/gltf+json"
	case "glb":
		return "model/gltf-binary"
	case "tex":
		return "application/x-tex"
	}
	return ""
}

// binaryType holds the types that are compressed already.
func binaryType(ext string) string {
	switch ext {
	case "png":
		return "image/png"
	case "apng":
		return "image/apng"
	case "jpg", "jpeg", "jpe", "jfif":
		return "image/jpeg"
	case "gif":
		return "image/gif"
	case "webp":
		return "image/webp"
	case "avif":
		return "image/avif"
	case "jxl":
		return "image/jxl"
	case "heic":
		return "image/heic"
	case "heif":
		return "image/heif"
	case "jp2":
		return "image/jp2"
	case "tif", "tiff":
		return "image/tiff"
	case "psd":
		return "image/vnd.adobe.photoshop"
	case "woff":
		return "font/woff"
	case "woff2":
		return "font/woff2"
	case "mp3":
		return "audio/mpeg"
	case "m4a":
		return "audio/mp4"
	case "aac":
		return "audio/aac"
	case "oga", "ogg", "opus":
		return "audio/ogg"
	case "flac":
		return "audio/flac"
	case "wav":
		return "audio/wav"
	case "weba":
		return "audio/webm"
	case "mid", "midi":
		return "audio/midi"
	case "mp4", "m4v":
		return "video/mp4"
	case "webm":
		return "video/webm"
	case "ogv":
		return "video/ogg"
	case "mov", "qt":
		return "video/quicktime"
	case "mpeg", "mpg":
		return "video/mpeg"
	case "ts":
		return "video/mp2t"
	case "avi":
		return "video/x-msvideo"
	case "mkv":
		return "video/matroska"
	case "wmv":
		return "video/x-ms-wmv"
	case "flv":
		return "video/x-flv"
	case "3gp":
		return "video/3gpp"
	case "pdf":
		return "application/pdf"
	case "zip":
		return "application/zip"
	case "gz", "tgz":
		return "application/gzip"
	case "zst":
		return "application/zstd"
	case "bz2":
		return "application/x-bzip2"
	case "xz":
		return "application/x-xz"
	case "tar":
		return "application/x-tar"
	case "7z":
		return "application/x-7z-compressed"
	case "rar":
		return "application/vnd.rar"
	case "jar", "war":
		return "application/java-archive"
	case "epub":
		return "application/epub+zip"
	case "doc":
		return "application/msword"
	case "xls":
		return "application/vnd.ms-excel"
	case "ppt":
		return "application/vnd.ms-powerpoint"
	case "docx":
		return "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
	case "xlsx":
		return "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
	case "pptx":
		return "application/vnd.openxmlformats-officedocument.presentationml.presentation"
	case "odt":
		return "application/vnd.oasis.opendocument.text"
	case "ods":
		return "application/vnd.oasis.opendocument.spreadsheet"
	case "odp":
		return "application/vnd.oasis.opendocument.presentation"
	case "kmz":
		return "application/vnd.google-earth.kmz"
	case "apk":
		return "application/vnd.android.package-archive"
	case "deb":
		return "application/vnd.debian.binary-package"
	case "rpm":
		return "application/x-rpm"
	case "xpi":
		return "application/x-xpinstall"
	case "torrent":
		return "application/x-bittorrent"
	case "swf":
		return "application/x-shockwave-flash"
	case "p7s":
		return "application/pkcs7-signature"
	case "crt", "cer":
		return "application/pkix-cert"
	case "sqfs", "iso", "img", "dmg", "exe", "msi", "bin":
		return octetStream
	}
	return ""
}
