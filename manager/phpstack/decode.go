package phpstack

import (
	"strings"
	"time"
)

const (
	maxName = 1024    // bytes of a function's or class's name that are kept, as php-fpm does
	maxFile = 4096    // of a file's
	maxText = 1 << 24 // of any string; longer is taken for garbage where a name is expected
	maxLine = 1 << 26
)

// decoder turns copied frames into Frames.
type decoder struct {
	memory   memory
	layout   layout
	executor uint64 // the address of executor_globals
	size     uint64
	until    time.Time // when to give up
	recall   *recall   // nil: nothing is remembered
}

// function is a zend_function.
type function struct {
	data            []byte // of it, as much as is needed for its kind
	kind            byte
	flags           uint32
	name, file      uint64 // zend_string
	scope           uint64 // zend_class_entry
	lines           [2]int
	opcodes         uint64
	last            uint64
	params, argInfo uint64
	extra           uint64 // the first slot of arguments beyond params
}

// decoded is what the frames point at.
type decoded struct {
	raw       []rawFrame
	functions []*function
	ops       []instruction
	frames    []Frame
}

// decode reads what the frames point at. An error that is errTorn can go away with another snapshot.
func (d *decoder) decode(raw []rawFrame) (*decoded, error) {
	functions, err := d.functions(raw)
	if err != nil {
		return nil, err
	}
	t := &frameTexts{known: make([]*recalled, len(raw)), unknown: make([]*function, len(raw))}
	for i, f := range functions {
		if t.known[i] = d.recall.find(raw[i].function, f); t.known[i] == nil {
			t.unknown[i] = f
		}
	}
	ops, err := d.instructions(raw, functions, t.known)
	if err != nil {
		return nil, err
	}
	if t.classes, err = d.classNames(t.unknown); err != nil {
		return nil, err
	}
	if t.texts, err = d.names(t.unknown, t.classes); err != nil {
		return nil, err
	}
	frames := make([]Frame, len(raw))
	for i, f := range functions {
		if frames[i], err = t.frame(i, raw[i], f, ops[i]); err != nil {
			return nil, err
		}
	}
	findCallers(frames, ops)
	for i, f := range t.unknown {
		if f != nil {
			name, class, file := t.of(i, f)
			d.recall.learn(raw[i].function, f, name, class, file)
		}
	}
	return &decoded{raw, functions, ops, frames}, nil
}

// frameTexts are what the functions of frames are called.
type frameTexts struct {
	known   []*recalled // of each frame; nil: it is not remembered
	unknown []*function // of each frame; nil: it is remembered, or there is none
	classes map[uint64]uint64
	texts   map[uint64]string
}

// of is what the function of the i-th frame is called.
func (t *frameTexts) of(i int, f *function) (name, class, file string) {
	if k := t.known[i]; k != nil {
		return k.name, k.class, k.file
	}
	return t.texts[f.name], t.texts[t.classes[f.scope]], t.texts[f.file]
}

// frame is the i-th frame, but for what depends on others. f is its function; nil: none.
func (t *frameTexts) frame(i int, r rawFrame, f *function, op instruction) (frame Frame, err error) {
	frame.Address = r.address
	if f == nil {
		frame.bare = true
		return frame, nil
	}
	name, class, file := t.of(i, f)
	frame.Function, frame.Class = name, class
	frame.Static = r.typeInfo&0xff != typeObject
	if f.flags&flagStatic != 0 && !frame.Static {
		return frame, errTorn
	}
	if f.kind != functionInternal {
		frame.File, frame.Line = file, op.line
	}
	frame.Call, err = callKind(r, f, name)
	return frame, err
}

// findCallers fills in what each frame has from those outwards: where it was called, and how a file was included.
func findCallers(frames []Frame, ops []instruction) {
	for i := range frames {
		including := i+1 < len(frames) && ops[i+1].code == opcodeIncludeOrEval
		if frames[i].Call == CallInclude && including {
			frames[i].Call = includeKind(ops[i+1].extended)
		}
		f, blind := callSite(frames[i+1:])
		frames[i].blind = blind
		if f != nil {
			frames[i].CallFile, frames[i].CallLine = f.File, f.Line
		}
	}
}

// callKind tells a frame's kind by its function and how it was entered (ZEND_CALL_KIND).
func callKind(r rawFrame, f *function, name string) (Call, error) {
	switch {
	case f.kind == functionInternal && name == "":
		return CallNone, nil
	case f.kind == functionInternal:
		return CallInternal, nil
	case strings.HasPrefix(name, "{closure") || strings.HasSuffix(name, "{closure}"): // the second with a namespace, to 8.3
		return CallClosure, nil
	case name != "":
		return CallFunction, nil
	case r.typeInfo&callKindMask == callKindMask:
		return CallMain, nil
	case r.typeInfo&callKindMask != callCode:
		return CallNone, errTorn
	case f.kind == functionEval:
		return CallEval, nil
	}
	return CallInclude, nil
}

// includeKind tells by the extended value of ZEND_INCLUDE_OR_EVAL (Zend/zend_compile.h).
func includeKind(extended uint32) Call {
	switch extended {
	case 4:
		return CallIncludeOnce
	case 8:
		return CallRequire
	case 16:
		return CallRequireOnce
	}
	return CallInclude
}

// callSite finds the nearest frame outwards that is written in PHP. Blind says that php-fpm does not find it: a frame without a function
// ends its search (fpm_php_trace.c:fpm_php_trace_dump).
func callSite(outer []Frame) (site *Frame, blind bool) {
	for i := range outer {
		switch f := &outer[i]; {
		case f.bare:
			blind = true
		case f.Call != CallNone && f.Call != CallInternal:
			return f, blind
		}
	}
	return nil, blind
}

// functions reads the functions of the frames. A frame without one has nil.
func (d *decoder) functions(raw []rawFrame) ([]*function, error) {
	pieces := make([]piece, 0, len(raw))
	for _, r := range raw {
		if pointer(r.function) {
			pieces = append(pieces, piece{r.function, make([]byte, fnSize)})
		}
	}
	if err := d.copyShorter(pieces); err != nil {
		return nil, err
	}
	functions := make([]*function, len(raw))
	next := 0
	for i, r := range raw {
		if !pointer(r.function) {
			continue
		}
		f, err := d.function(pieces[next].data)
		if err != nil {
			return nil, err
		}
		functions[i] = f
		next++
	}
	return functions, nil
}

// copyShorter fills pieces with functions. That of an extension is shorter, and behind the last one there may be nothing.
func (d *decoder) copyShorter(pieces []piece) error {
	if err := copyAll(d.memory, pieces); err != nil {
		return err
	}
	for i := range pieces {
		if pieces[i].data == nil {
			p := []piece{{pieces[i].address, make([]byte, fnAttributes+8)}}
			if err := copyAll(d.memory, p); err != nil {
				return err
			}
			pieces[i].data = p[0].data
		}
	}
	return nil
}

// function takes a zend_function apart and checks it.
func (d *decoder) function(b []byte) (*function, error) {
	if b == nil {
		return nil, errTorn
	}
	f := &function{
		data: b, kind: b[fnType], flags: u32(b, fnFlags), name: u64(b, fnName), scope: u64(b, fnScope),
		params: uint64(u32(b, fnNumArgs)), argInfo: u64(b, fnArgInfo),
	}
	switch {
	case f.name != 0 && !pointer(f.name), f.scope != 0 && !pointer(f.scope), f.params > 1<<16:
		return nil, errTorn
	case f.kind == functionInternal:
		return f, nil
	case f.kind != functionUser && f.kind != functionEval, len(b) < fnSize:
		return nil, errTorn
	}
	l := d.layout
	f.file, f.opcodes, f.last = u64(b, l.filename), u64(b, l.opcodes), uint64(u32(b, l.last))
	f.lines = [2]int{int(u32(b, l.lineStart)), int(u32(b, l.lineStart+4))}
	f.extra = uint64(u32(b, l.lastVar)) + uint64(u32(b, l.temps))
	if !pointer(f.file) || !pointer(f.opcodes) || f.lines[0] > f.lines[1] || f.lines[1] > maxLine {
		return nil, errTorn
	}
	return f, nil
}

// instruction is what is of interest in a zend_op.
type instruction struct {
	extended uint32
	line     int
	code     byte
}

// instructions reads the one that each frame is at, where it is not known.
func (d *decoder) instructions(raw []rawFrame, functions []*function, known []*recalled) ([]instruction, error) {
	before, err := d.beforeException(raw)
	if err != nil {
		return nil, err
	}
	pieces, ops := make([]piece, len(raw)), make([]instruction, len(raw))
	for i, r := range raw {
		if k := known[i]; k != nil {
			if op, ok := k.ops[r.opline]; ok {
				ops[i] = op
				continue
			}
		}
		if f := functions[i]; f != nil && f.kind != functionInternal {
			opline := r.opline
			if d.inException(opline) {
				opline = before
			}
			if opline == f.opcodes || opline > f.opcodes && opline-f.opcodes < f.last*opSize && (opline-f.opcodes)%opSize == 0 {
				pieces[i] = piece{opline, make([]byte, opSize)}
			}
		}
	}
	asked := make([]piece, 0, len(raw))
	for _, p := range pieces {
		if p.data != nil {
			asked = append(asked, p)
		}
	}
	if err := copyAll(d.memory, asked); err != nil {
		return nil, err
	}
	next := 0
	for i, f := range functions {
		switch {
		case pieces[i].data != nil:
			b := asked[next].data
			next++
			if b == nil || u32(b, opLineno) > maxLine {
				return nil, errTorn
			}
			ops[i] = instruction{u32(b, opExtended), int(u32(b, opLineno)), b[opCode]}
			if known[i] != nil && pieces[i].address == raw[i].opline {
				known[i].ops[raw[i].opline] = ops[i]
			}
		case ops[i] == instruction{} && f != nil && f.kind != functionInternal:
			ops[i].line = f.lines[0]
		}
	}
	return ops, nil
}

// inException says whether an instruction is one of executor_globals' own, by which the engine handles an exception.
func (d *decoder) inException(opline uint64) bool {
	return opline >= d.executor && opline < d.executor+d.size
}

// beforeException reads executor_globals.opline_before_exception, if a frame needs it.
func (d *decoder) beforeException(raw []rawFrame) (uint64, error) {
	for _, r := range raw {
		if d.inException(r.opline) {
			p := []piece{{d.executor + d.layout.exception + exceptionBefore, make([]byte, 8)}}
			if err := copyAll(d.memory, p); err != nil || p[0].data == nil {
				return 0, err
			}
			return u64(p[0].data, 0), nil
		}
	}
	return 0, nil
}
