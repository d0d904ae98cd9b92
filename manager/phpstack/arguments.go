package phpstack

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

const (
	maxArgs   = 8  // arguments of one call that are shown
	maxString = 32 // bytes of a string that are shown

	// maxLooked is how many bytes of a string are looked at for something secret.
	maxLooked = 512
)

// argument is one that is to be read, and for which frame.
type argument struct {
	frame int
	value uint64 // zval
	name  uint64 // zend_arg_info, or 0
	user  bool   // whether its name is a zend_string, not a C string
	mask  bool   // #[\SensitiveParameter]
}

// arguments adds to the frames what their calls were given. The values are not part of the snapshot: one that changed since is shown as
// it is now, and one that is gone as "?".
func (d *decoder) arguments(raw []rawFrame, functions []*function, frames []Frame) error {
	var all []argument
	for i, r := range raw {
		f := functions[i]
		if f == nil || frames[i].Function == "" {
			continue
		}
		hidden, err := d.sensitive(f)
		if err != nil {
			return err
		}
		shown := min(uint64(r.numArgs), maxArgs)
		frames[i].MoreArgs = int(min(r.numArgs, math.MaxUint16)) - int(shown)
		for n := range shown {
			a := d.argument(i, n, r.address, f)
			a.mask = hidden.has(n, f)
			if position, ok := secretArguments[strings.ToLower(frames[i].Function)]; ok && frames[i].Class == "" && !a.user {
				a.mask = a.mask || n == position
			}
			all = append(all, a)
		}
	}
	values := make([]piece, len(all))
	for i, a := range all {
		values[i] = piece{a.value, make([]byte, zvalSize)}
	}
	if err := copyAll(d.memory, values); err != nil {
		return err
	}
	for i, a := range all {
		name, known, err := d.parameter(a)
		if err != nil {
			return err
		}
		arg := Arg{Name: name, Value: Masked}
		if !a.mask && !secret(name) {
			if arg.Value, err = d.value(values[i].data, known, true); err != nil {
				return err
			}
		}
		if before := frames[a.frame].Args; len(before) > 0 && namesSecret(before[len(before)-1].Value) {
			arg.Value = Masked
		}
		frames[a.frame].Args = append(frames[a.frame].Args, arg)
	}
	return nil
}

// argument says where the n-th one is (ZEND_CALL_ARG, and for those beyond the declared ones zend_vm_stack_push_call_frame and
// i_init_func_execute_data).
func (d *decoder) argument(frame int, n, address uint64, f *function) argument {
	a := argument{frame: frame, value: address + exSlots + n*zvalSize, user: f.kind != functionInternal}
	if a.user && n >= f.params {
		a.value = address + exSlots + (f.extra+n-f.params)*zvalSize
	}
	declared := n
	if n >= f.params && f.flags&flagVariadic != 0 {
		declared = f.params
	}
	if (n < f.params || f.flags&flagVariadic != 0) && pointer(f.argInfo) {
		a.name = f.argInfo + declared*d.layout.argInfo
	}
	return a
}

// parameter reads the name of an argument's parameter. Known is false if there should be one, but it cannot be read.
func (d *decoder) parameter(a argument) (name string, known bool, err error) {
	if a.name == 0 {
		return "", true, nil
	}
	p := []piece{{a.name, make([]byte, 8)}}
	if err := copyAll(d.memory, p); err != nil || p[0].data == nil {
		return "", false, err
	}
	at := u64(p[0].data, 0)
	if a.user {
		texts, err := d.strings([]uint64{at}, maxName)
		if err != nil {
			return "", false, tornIsNil(err)
		}
		name = texts[at]
	} else if at >= pageSize {
		if name, err = d.cString(at, maxName); err != nil {
			return "", false, err
		}
	}
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= 0x20 || r == 0x7f }) {
		return "", false, nil
	}
	return name, true, nil
}

// value is PHP's notation for a zval. A string is shown only if its parameter is known, because it could be a secret.
func (d *decoder) value(zval []byte, known, follow bool) (string, error) {
	if zval == nil {
		return "?", nil
	}
	at := u64(zval, 0)
	switch zval[zvalType] {
	case 0:
		return "unset", nil
	case 1:
		return "null", nil
	case 2:
		return "false", nil
	case 3:
		return "true", nil
	case 4:
		return strconv.FormatInt(int64(at), 10), nil
	case 5:
		return strconv.FormatFloat(math.Float64frombits(at), 'g', -1, 64), nil
	case typeString:
		return d.text(at, known)
	case typeArray:
		head, err := d.head(at, typeArray, arrCount+4)
		if head == nil {
			return "array(?)", err
		}
		return "array(" + strconv.FormatUint(uint64(u32(head, arrCount)), 10) + ")", nil
	case typeObject:
		return d.object(at)
	case 9:
		return "resource", nil
	case 10: // zend_reference.val
		if follow && pointer(at) {
			p := []piece{{at + 8, make([]byte, zvalSize)}}
			if err := copyAll(d.memory, p); err != nil {
				return "", err
			}
			s, err := d.value(p[0].data, known, false)
			return "&" + s, err
		}
	}
	return "?", nil
}

// head reads the beginning of a counted value of a type; nil is one that is not there.
func (d *decoder) head(address uint64, kind byte, size int) ([]byte, error) {
	if !pointer(address) {
		return nil, nil
	}
	p := []piece{{address, make([]byte, size)}}
	if err := copyAll(d.memory, p); err != nil || p[0].data == nil {
		return nil, err
	}
	if p[0].data[gcTypeInfo]&0xf != kind {
		return nil, nil
	}
	return p[0].data, nil
}

// text is a string in double quotes, cut to a bound.
func (d *decoder) text(address uint64, known bool) (string, error) {
	head, err := d.head(address, typeString, strVal)
	if head == nil {
		return "?", err
	}
	length := u64(head, strLen)
	if !known {
		return "string(" + strconv.FormatUint(length, 10) + ")", nil
	}
	if length == 0 {
		return `""`, nil
	}
	p := []piece{{address + strVal, make([]byte, min(length, maxLooked))}}
	if err := copyAll(d.memory, p); err != nil || p[0].data == nil {
		return "?", err
	}
	if secretText(string(p[0].data)) {
		return Masked, nil
	}
	s := strconv.Quote(string(p[0].data[:min(length, maxString)]))
	if length > maxString {
		s += "..."
	}
	return s, nil
}

// object is the name of its class.
func (d *decoder) object(address uint64) (string, error) {
	head, err := d.head(address, typeObject, objClass+8)
	if head == nil {
		return "object(?)", err
	}
	class := u64(head, objClass)
	names, err := d.classNames([]*function{{scope: class}})
	if err == nil {
		var texts map[uint64]string
		if texts, err = d.strings([]uint64{names[class]}, maxName); err == nil {
			name, _, _ := strings.Cut(texts[names[class]], "\x00")
			if !strings.ContainsFunc(name, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
				return "object(" + name + ")", nil
			}
		}
	}
	return "object(?)", tornIsNil(err)
}

// tornIsNil is for what may be missing in a trace.
func tornIsNil(err error) error {
	if errors.Is(err, errTorn) {
		return nil
	}
	return err
}
