package phpstack

import (
	"maps"
	"strings"
)

// classNames reads where the names of the functions' classes are.
func (d *decoder) classNames(functions []*function) (map[uint64]uint64, error) {
	names := map[uint64]uint64{}
	var pieces []piece
	for _, f := range functions {
		if f != nil && f.scope != 0 {
			if _, ok := names[f.scope]; !ok {
				names[f.scope] = 0
				pieces = append(pieces, piece{f.scope, make([]byte, ceName+8)})
			}
		}
	}
	if err := copyAll(d.memory, pieces); err != nil {
		return nil, err
	}
	for _, p := range pieces {
		// A class is ZEND_INTERNAL_CLASS (1) or ZEND_USER_CLASS (2).
		if p.data == nil || p.data[ceType] != 1 && p.data[ceType] != 2 || !pointer(u64(p.data, ceName)) {
			return nil, errTorn
		}
		names[p.address] = u64(p.data, ceName)
	}
	return names, nil
}

// names reads the names of functions, classes and files, and checks that they are names.
func (d *decoder) names(functions []*function, classes map[uint64]uint64) (map[uint64]string, error) {
	var short, long []uint64
	for _, f := range functions {
		if f != nil {
			short = append(short, f.name, classes[f.scope])
			long = append(long, f.file)
		}
	}
	texts, err := d.strings(short, maxName)
	if err != nil {
		return nil, err
	}
	files, err := d.strings(long, maxFile)
	if err != nil {
		return nil, err
	}
	for address, s := range texts {
		// The name of an anonymous class goes on behind a zero byte, with where it was declared.
		s, _, _ = strings.Cut(s, "\x00")
		texts[address] = s
	}
	maps.Copy(texts, files)
	for _, s := range texts {
		if strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
			return nil, errTorn
		}
	}
	return texts, nil
}

// strings reads zend_strings by address, up to a length. Each must be one.
func (d *decoder) strings(addresses []uint64, longest int) (map[uint64]string, error) {
	texts := map[uint64]string{}
	var heads []piece
	for _, a := range addresses {
		if _, ok := texts[a]; !ok && a != 0 {
			if !pointer(a) {
				return nil, errTorn
			}
			texts[a] = ""
			heads = append(heads, piece{a, make([]byte, strVal)})
		}
	}
	if err := copyAll(d.memory, heads); err != nil {
		return nil, err
	}
	values := make([]piece, 0, len(heads))
	for _, h := range heads {
		if h.data == nil || h.data[gcTypeInfo]&0xf != typeString || u64(h.data, strLen) > maxText {
			return nil, errTorn
		}
		values = append(values, piece{h.address + strVal, make([]byte, min(u64(h.data, strLen)+1, uint64(longest)))})
	}
	if err := copyAll(d.memory, values); err != nil {
		return nil, err
	}
	for i, v := range values {
		if v.data == nil {
			return nil, errTorn
		}
		n := len(v.data)
		if u64(heads[i].data, strLen) < uint64(longest) { // all of it was read, and the zero byte that ends it
			if n--; v.data[n] != 0 {
				return nil, errTorn
			}
		}
		texts[v.address-strVal] = string(v.data[:n])
	}
	return texts, nil
}
