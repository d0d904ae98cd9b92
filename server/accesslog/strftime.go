package accesslog

import (
	"strconv"
	"strings"
	"time"
)

// strftimeFormat is a format of strftime(3), compiled. It holds the conversions of glibc in the C locale, with its flags and
// field widths: what %{...}t of an access.format means to php-fpm on Linux. What glibc does not know is printed as it stands.
type strftimeFormat []strftimeItem

// strftimeItem is text, one conversion, or a conversion that stands for others.
type strftimeItem struct {
	literal string
	sub     strftimeFormat // of %c, %D and the like
	conv    byte           // 0: a literal or sub
	pad     byte           // flag: '_', '-', '0' or 0
	upper   bool           // flag ^
	swap    bool           // flag #
	width   int
}

// maxStrftimeWidth bounds a field. php-fpm has 128 bytes for all of it.
const maxStrftimeWidth = 128

// parseStrftime compiles a format. It cannot fail.
func parseStrftime(layout string) strftimeFormat { return parseStrftimeIn(layout, false) }

// parseStrftimeIn compiles a format; upper is the ^ of the conversion that it stands for.
func parseStrftimeIn(layout string, upper bool) strftimeFormat {
	var f strftimeFormat
	for layout != "" {
		literal, rest, found := strings.Cut(layout, "%")
		if literal != "" {
			f = append(f, strftimeItem{literal: literal})
		}
		if !found {
			break
		}
		item, length := parseConversion(rest, upper)
		if item.conv == 0 && item.sub == nil { // unknown: its text, in a field of its width
			text := "%" + rest[:length]
			if item.upper {
				text = strings.ToUpper(text)
			}
			item.sub = strftimeFormat{{literal: text}}
		}
		f = append(f, item)
		layout = rest[length:]
	}
	return f
}

// parseConversion reads what follows a %, and says how long it was. The item does nothing if glibc has no such conversion.
func parseConversion(s string, upper bool) (strftimeItem, int) {
	item := strftimeItem{upper: upper}
	i := 0
flags:
	for ; i < len(s); i++ {
		switch s[i] {
		case '_', '-', '0':
			item.pad = s[i]
		case '^':
			item.upper = true
		case '#':
			item.swap = true
		default:
			break flags
		}
	}
	for ; i < len(s) && s[i] >= '0' && s[i] <= '9'; i++ {
		item.width = min(10*item.width+int(s[i]-'0'), maxStrftimeWidth)
	}
	modifier := byte(0)
	if i < len(s) && (s[i] == 'E' || s[i] == 'O') {
		modifier = s[i]
		i++
	}
	if i == len(s) {
		return item, i
	}
	conv := s[i]
	i++
	if !strftimeKnows(conv, modifier) {
		return item, i
	}
	if layout := strftimeLayout(conv); layout != "" {
		item.sub = parseStrftimeIn(layout, item.upper)
		return item, i
	}
	item.conv = conv
	return item, i
}

// strftimeKnows says which conversions there are, and which of them take the modifiers E and O, without effect in the C locale.
func strftimeKnows(conv, modifier byte) bool {
	switch modifier {
	case 'E':
		return strings.IndexByte("%cCnpPrRstTuxXyYzZ", conv) >= 0
	case 'O':
		return strings.IndexByte("%bBCdegGhHIjklmMnpPrRsStTuUVwWyzZ", conv) >= 0
	}
	return strings.IndexByte("%aAbBcCdDeFgGhHIjklmMnpPrRsStTuUVwWxXyYzZ", conv) >= 0
}

// strftimeLayout is what a conversion stands for.
func strftimeLayout(conv byte) string {
	switch conv {
	case 'c':
		return "%a %b %e %H:%M:%S %Y"
	case 'D', 'x':
		return "%m/%d/%y"
	case 'F':
		return "%Y-%m-%d"
	case 'r':
		return "%I:%M:%S %p"
	case 'R':
		return "%H:%M"
	case 'T', 'X':
		return "%H:%M:%S"
	}
	return ""
}

// append renders t in its own location.
func (f strftimeFormat) append(b []byte, t time.Time) []byte {
	for i := range f {
		item := &f[i]
		switch {
		case item.literal != "":
			b = append(b, item.literal...)
		case item.sub != nil:
			b = item.appendText(b, string(item.sub.append(nil, t)))
		case item.conv == 'z':
			b = item.appendZone(b, t)
		default:
			if text, ok := item.text(t); ok {
				b = item.appendText(b, text)
			} else {
				value, digits, pad := strftimeNumber(item.conv, t)
				b = item.appendNumber(b, value, digits, pad)
			}
		}
	}
	return b
}

// text is that of a conversion to words.
func (i *strftimeItem) text(t time.Time) (string, bool) {
	var s string
	lower := false
	switch i.conv {
	case 'a':
		s = t.Weekday().String()[:3]
	case 'A':
		s = t.Weekday().String()
	case 'b', 'h':
		s = t.Month().String()[:3]
	case 'B':
		s = t.Month().String()
	case 'p', 'P':
		s = "AM"
		if t.Hour() >= 12 {
			s = "PM"
		}
		lower = i.swap || i.conv == 'P'
	case 'Z':
		s, _ = t.Zone()
		lower = i.swap
	case 'n':
		s = "\n"
	case 't':
		s = "\t"
	case '%':
		s = "%"
	default:
		return "", false
	}
	switch {
	case lower:
		s = strings.ToLower(s)
	case i.upper || i.swap:
		s = strings.ToUpper(s)
	}
	return s, true
}

// strftimeNumber is the value of a conversion to a number, the digits that it has at least and what fills them.
func strftimeNumber(conv byte, t time.Time) (value int64, digits int, pad byte) {
	n, digits, pad := 0, 2, byte('0')
	switch conv {
	case 'C':
		n = t.Year() / 100
	case 'd':
		n = t.Day()
	case 'e':
		n, pad = t.Day(), '_'
	case 'g':
		n, _ = t.ISOWeek()
		n %= 100
	case 'G':
		n, _ = t.ISOWeek()
		digits = 4
	case 'H':
		n = t.Hour()
	case 'I':
		n = (t.Hour()+11)%12 + 1
	case 'j':
		n, digits = t.YearDay(), 3
	case 'k':
		n, pad = t.Hour(), '_'
	case 'l':
		n, pad = (t.Hour()+11)%12+1, '_'
	case 'm':
		n = int(t.Month())
	case 'M':
		n = t.Minute()
	case 's':
		return t.Unix(), 1, '-'
	case 'S':
		n = t.Second()
	case 'u':
		n, digits = (int(t.Weekday())+6)%7+1, 1
	case 'U': // weeks from the first Sunday
		n = (t.YearDay() + 6 - int(t.Weekday())) / 7
	case 'V':
		_, n = t.ISOWeek()
	case 'w':
		n, digits = int(t.Weekday()), 1
	case 'W': // weeks from the first Monday
		n = (t.YearDay() + 6 - (int(t.Weekday())+6)%7) / 7
	case 'y':
		n = t.Year() % 100
	case 'Y':
		n, digits = t.Year(), 4
	}
	return int64(n), digits, pad
}

// appendText fills a text up to the width of the field.
func (i *strftimeItem) appendText(b []byte, s string) []byte {
	fill := " "
	if i.pad == '0' {
		fill = "0"
	}
	b = append(b, strings.Repeat(fill, max(0, i.width-len(s)))...)
	return append(b, s...)
}

// appendNumber fills a number up to its digits or the width of the field.
func (i *strftimeItem) appendNumber(b []byte, value int64, digits int, pad byte) []byte {
	if i.pad != 0 {
		pad = i.pad
	}
	if value < 0 {
		b = append(b, '-')
		value = -value
	}
	var digitsOf [20]byte // on the stack, as the string is then
	text := string(strconv.AppendInt(digitsOf[:0], value, 10))
	missing := max(0, max(digits, i.width)-len(text))
	switch pad {
	case '-': // no digits, but the width is still filled
		return i.appendText(b, text)
	case '_':
		b = append(b, strings.Repeat(" ", missing)...)
	default:
		b = append(b, strings.Repeat("0", missing)...)
	}
	return append(b, text...)
}

// appendZone is %z. glibc applies a width to the sign and to the digits, each.
func (i *strftimeItem) appendZone(b []byte, t time.Time) []byte {
	_, offset := t.Zone()
	sign := "+"
	if offset < 0 {
		sign, offset = "-", -offset
	}
	b = i.appendText(b, sign)
	return i.appendNumber(b, int64(offset/3600*100+offset/60%60), 4, '0')
}
