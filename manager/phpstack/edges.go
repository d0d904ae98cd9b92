package phpstack

import (
	"slices"
	"strings"
)

// Opcodes of calls; their numbers are the same from 7.4 to 8.5 (Zend/zend_vm_opcodes.h).
const (
	opcodeInitByName    = 59
	opcodeDoCall        = 60
	opcodeInitCall      = 61
	opcodeNew           = 68
	opcodeInitNamespace = 69
	opcodeInitMethod    = 112
	opcodeInitStatic    = 113
	opcodeInitUser      = 118
	opcodeInitDynamic   = 128
	opcodeDoInternal    = 129
	opcodeDoUser        = 130
	opcodeDoByName      = 131

	opTwo         = 12 // zend_op.op2
	opTwoType     = 30 // zend_op.op2_type
	operandConst  = 1  // IS_CONST
	mostArguments = 64 // instructions of one call that are looked through
)

// edge is one frame that was called by another, as far as it is seen.
type edge struct{ callee, function, caller, opline uint64 }

// doubtful are the calls that the caller's instruction does not explain: because the engine made them between instructions, as it does
// with destructors, or because the frames are of different moments. Such a snapshot must be confirmed by another that shows the same.
func (d *decoder) doubtful(s *decoded) ([]edge, error) {
	raw, functions, frames, ops := s.raw, s.functions, s.frames, s.ops
	var doubts []edge
	for i := 1; i < len(frames); i++ {
		if frames[i].Call == CallInternal {
			continue // what calls what by itself cannot be known
		}
		explained := false
		var err error
		switch including := frames[i-1].Function == "" && frames[i-1].Call != CallNone; {
		case frames[i].Call == CallNone:
		case including || ops[i].code == opcodeIncludeOrEval:
			explained = including && ops[i].code == opcodeIncludeOrEval
		case isDo(ops[i].code):
			explained, err = d.callsKnown(raw[i], functions[i], frames[i-1].Function)
		}
		if err != nil {
			return nil, err
		}
		if !explained {
			doubts = append(doubts, edge{raw[i-1].address, raw[i-1].function, raw[i].function, raw[i].opline})
		}
	}
	return doubts, nil
}

func isDo(code byte) bool {
	return code == opcodeDoCall || code == opcodeDoInternal || code == opcodeDoUser || code == opcodeDoByName
}

func isInit(code byte) bool {
	return slices.Contains([]byte{
		opcodeInitByName, opcodeInitCall, opcodeNew, opcodeInitNamespace, opcodeInitMethod, opcodeInitStatic, opcodeInitUser,
		opcodeInitDynamic,
	}, code)
}

// callsKnown is calls, of which the answer is remembered.
func (d *decoder) callsKnown(r rawFrame, f *function, callee string) (bool, error) {
	known := d.recall.find(r.function, f)
	if known == nil {
		return d.calls(r, f, callee)
	}
	at := callAt{r.opline, callee}
	explained, ok := known.calls[at]
	if ok {
		return explained, nil
	}
	explained, err := d.calls(r, f, callee)
	if err == nil {
		known.calls[at] = explained
	}
	return explained, err
}

// calls says whether the call that a frame is at can be one of that function.
func (d *decoder) calls(r rawFrame, f *function, callee string) (bool, error) {
	n := min((r.opline-f.opcodes)/opSize, mostArguments)
	if r.opline < f.opcodes || n == 0 {
		return true, nil
	}
	begin := r.opline - n*opSize
	code := []piece{{begin, make([]byte, n*opSize)}}
	if err := copyAll(d.memory, code); err != nil || code[0].data == nil {
		return err == nil, err
	}
	// Calls nest: each that is done before this one has its own beginning.
	for open := 1; n > 0; n-- {
		op := code[0].data[(n-1)*opSize:][:opSize]
		switch {
		case isDo(op[opCode]):
			open++
		case isInit(op[opCode]):
			open--
		}
		if open == 0 {
			return d.begins(begin+(n-1)*opSize, op, callee)
		}
	}
	return true, nil
}

// begins says whether an instruction that begins a call can begin that of a function.
func (d *decoder) begins(at uint64, op []byte, callee string) (bool, error) {
	switch op[opCode] {
	case opcodeNew:
		return strings.EqualFold(callee, "__construct"), nil
	case opcodeInitUser, opcodeInitDynamic:
		return true, nil
	}
	if op[opTwoType] != operandConst {
		return true, nil
	}
	// RT_CONSTANT: relative to the instruction.
	literal := []piece{{at + uint64(int64(int32(u32(op, opTwo)))), make([]byte, zvalSize)}}
	if err := copyAll(d.memory, literal); err != nil || literal[0].data == nil || literal[0].data[zvalType] != typeString {
		return err == nil, err
	}
	address := u64(literal[0].data, 0)
	texts, err := d.strings([]uint64{address}, maxName)
	if err != nil {
		return true, tornIsNil(err)
	}
	name := texts[address]
	short := name[strings.LastIndexByte(name, '\\')+1:]
	return strings.EqualFold(callee, name) || strings.EqualFold(callee, short) || strings.HasPrefix(callee, "__call"), nil
}
