package phpstack

import "fmt"

// layout holds the offsets, in bytes, that differ between versions of PHP. They are those of builds without thread safety and
// without debugging, for 64-bit little-endian machines; x86-64 and arm64 agree, because the fields before the last one used here hold
// no type that differs between them. Compiled from the headers of the releases (offsetof), but for 8.0, whose are from the order of
// fields in its headers.
type layout struct {
	version string
	// sizes are the smallest and largest size of executor_globals that this layout is known for. Within a branch php-src only
	// appends fields (8.4.24 has 1960 bytes, 8.4.27 has 1984, the offsets are the same), so a range is allowed.
	sizes [2]uint64

	current   uint64 // zend_executor_globals.current_execute_data
	exception uint64 // zend_executor_globals.exception
	filename  uint64 // zend_op_array.filename
	lineStart uint64 // zend_op_array.line_start
	opcodes   uint64 // zend_op_array.opcodes
	last      uint64 // zend_op_array.last
	lastVar   uint64 // zend_op_array.last_var
	temps     uint64 // zend_op_array.T
	argInfo   uint64 // size of zend_arg_info
}

// Offsets that are the same from 7.4 to 8.5 (Zend/zend_compile.h, Zend/zend_types.h, Zend/zend.h).
const (
	exOpline   = 0 // zend_execute_data
	exFunc     = 24
	exThis     = 32
	exTypeInfo = 40 // This.u1.type_info
	exNumArgs  = 44 // This.u2.num_args
	exPrev     = 48
	exSize     = 56 // as much of it as is read
	exSlots    = 80 // ZEND_CALL_FRAME_SLOT zvals: the first argument

	fnType    = 0 // zend_function.common
	fnFlags   = 4
	fnName    = 8
	fnScope   = 16
	fnNumArgs = 32
	fnArgInfo = 40
	fnSize    = 184 // as much of it as is read

	opExtended = 20 // zend_op
	opLineno   = 24
	opCode     = 28
	opSize     = 32

	gcTypeInfo = 4 // zend_refcounted_h.u.type_info; the type is in its low four bits
	strLen     = 16
	strVal     = 24
	arrCount   = 28 // zend_array.nNumOfElements
	objClass   = 16 // zend_object.ce
	ceType     = 0  // zend_class_entry
	ceName     = 8
	zvalSize   = 16
	zvalType   = 8

	// exceptionOps is from exception to opline_before_exception: the two pointers exception and prev_exception lie before it
	// (zend_globals.h). While an exception is handled, opline points into exception_op behind it.
	exceptionBefore = 16

	sgMethod     = 8 // sapi_globals.request_info.request_method (main/SAPI.h)
	sgScript     = 40
	sgRequestURI = 48
)

// Values of the engine.
const (
	functionInternal = 1 // ZEND_INTERNAL_FUNCTION
	functionUser     = 2 // ZEND_USER_FUNCTION
	functionEval     = 4 // ZEND_EVAL_CODE

	callCode     = 1 << 16 // ZEND_CALL_CODE
	callTop      = 1 << 17 // ZEND_CALL_TOP
	callKindMask = callCode | callTop

	flagStatic   = 1 << 4  // ZEND_ACC_STATIC
	flagVariadic = 1 << 14 // ZEND_ACC_VARIADIC

	opcodeIncludeOrEval = 73 // ZEND_INCLUDE_OR_EVAL

	typeString = 6 // IS_STRING
	typeArray  = 7
	typeObject = 8
)

// layouts returns the known ones by ZEND_MODULE_API_NO, which names the branch of PHP (Zend/zend_modules.h).
func layouts() map[string]layout {
	return map[string]layout{
		"20190902": {
			"7.4",
			[2]uint64{1640, 1720},
			488, 864, 136, 144, 64, 60, 52, 56, 24,
		},
		"20200930": {
			"8.0",
			[2]uint64{1640, 1820},
			488, 864, 144, 152, 72, 68, 60, 64, 32,
		},
		"20210902": {
			"8.1",
			[2]uint64{1728, 1820},
			488, 864, 144, 152, 72, 68, 60, 64, 32,
		},
		"20220829": {
			"8.2",
			[2]uint64{1768, 1840},
			488, 864, 152, 160, 88, 80, 76, 56, 32,
		},
		"20230831": {
			"8.3",
			[2]uint64{1792, 1864},
			488, 864, 144, 152, 80, 76, 72, 64, 32,
		},
		"20240924": {
			"8.4",
			[2]uint64{1936, 2016},
			488, 936, 168, 176, 104, 96, 92, 72, 32,
		},
		"20250925": {
			"8.5",
			[2]uint64{1960, 2048},
			512, 960, 168, 176, 104, 96, 92, 72, 32,
		},
	}
}

// layoutFor chooses by what the binary says of itself: ZEND_MODULE_BUILD_ID, e.g. "API20220829,NTS", and the size of the symbol
// executor_globals, which guards against a build with other fields.
func layoutFor(build buildID, size uint64) (layout, error) {
	l, ok := layouts()[build.api]
	switch {
	case !ok:
		return layout{}, fmt.Errorf("cannot read stacks of PHP with module API %s: known are PHP 7.4 to 8.5", build.api)
	case build.threadSafe:
		return layout{}, fmt.Errorf("cannot read stacks of a thread-safe PHP %s: use a non-thread-safe build", l.version)
	case build.debug:
		return layout{}, fmt.Errorf("cannot read stacks of a debug build of PHP %s: use a build without --enable-debug", l.version)
	case size < l.sizes[0] || size > l.sizes[1]:
		return layout{}, fmt.Errorf("cannot read stacks of this PHP %s: its executor_globals has %d bytes, known are %d to %d",
			l.version, size, l.sizes[0], l.sizes[1])
	}
	return l, nil
}
