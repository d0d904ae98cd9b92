package phpstack

import "strings"

const (
	fnAttributes   = 48 // zend_function.common.attributes, from PHP 8.0
	arrFlags       = 8  // zend_array.u.flags
	arrData        = 16 // zend_array.arPacked
	arrUsed        = 24 // zend_array.nNumUsed
	arrSize        = 32
	flagPacked     = 1 << 2 // HASH_FLAG_PACKED
	typePointer    = 13     // IS_PTR
	attrLowerName  = 8      // zend_attribute.lcname
	attrOffset     = 24     // zend_attribute.offset: 1 for the first parameter
	attrSize       = 32
	maxAttributes  = 64 // of one function that are read
	sensitiveClass = "sensitiveparameter"
)

// sensitive are the parameters of a function that have the attribute #[\SensitiveParameter] (PHP 8.2), by their number from 0.
type sensitive struct {
	all        bool // it cannot be told, so each may be
	parameters map[uint64]bool
}

// has says whether the n-th parameter is one. Arguments beyond the declared ones are of the last, variadic one.
func (s *sensitive) has(n uint64, f *function) bool {
	if s == nil {
		return false
	}
	if n > f.params {
		n = f.params
	}
	return s.all || s.parameters[n]
}

// sensitive reads the attributes of a function; nil: it has none that matter.
func (d *decoder) sensitive(f *function) (*sensitive, error) {
	if d.layout.version < "8.2" || len(f.data) < fnAttributes+8 {
		return nil, nil
	}
	at := u64(f.data, fnAttributes)
	if at == 0 {
		return nil, nil
	}
	unknown := &sensitive{all: true}
	head, err := d.head(at, typeArray, arrSize)
	if head == nil {
		return unknown, err
	}
	used := uint64(u32(head, arrUsed))
	if u32(head, arrFlags)&flagPacked == 0 || used > maxAttributes || !pointer(u64(head, arrData)) {
		return unknown, nil
	}
	values := []piece{{u64(head, arrData), make([]byte, used*zvalSize)}}
	if err := copyAll(d.memory, values); err != nil || values[0].data == nil {
		return unknown, err
	}
	var attributes []piece
	for n := range used {
		zval := values[0].data[n*zvalSize:]
		if zval[zvalType] == typePointer && pointer(u64(zval, 0)) {
			attributes = append(attributes, piece{u64(zval, 0), make([]byte, attrSize)})
		}
	}
	if err := copyAll(d.memory, attributes); err != nil {
		return unknown, err
	}
	s := &sensitive{parameters: map[uint64]bool{}}
	for _, a := range attributes {
		if a.data == nil {
			return unknown, nil
		}
		offset := u32(a.data, attrOffset)
		if offset == 0 {
			continue
		}
		names, err := d.strings([]uint64{u64(a.data, attrLowerName)}, maxName)
		if err != nil {
			return unknown, tornIsNil(err)
		}
		if strings.EqualFold(names[u64(a.data, attrLowerName)], sensitiveClass) {
			s.parameters[uint64(offset)-1] = true
		}
	}
	return s, nil
}
