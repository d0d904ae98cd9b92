package phpstack

// Call is how the code of a frame came to run.
type Call int

// The kinds of frames.
const (
	// CallNone is a frame that the engine inserts between a running instruction and PHP code that it calls by itself, such as a
	// destructor or the first frame of a fiber. It has no name, no file and no line.
	CallNone Call = iota
	// CallMain is the main script, or one of auto_prepend_file and auto_append_file.
	CallMain
	// CallFunction is a function or method written in PHP.
	CallFunction
	// CallClosure is an anonymous function.
	CallClosure
	// CallInternal is a function or method of an extension.
	CallInternal
	// CallInclude to CallRequireOnce are a file that was included by the statement of that name.
	CallInclude
	CallIncludeOnce
	CallRequire
	CallRequireOnce
	// CallEval is code given to eval().
	CallEval
)

// String is the name of a kind: that of the statement, or "main", "function", "closure", "internal", "engine".
func (c Call) String() string {
	names := [...]string{
		"engine", "main", "function", "closure", "internal", "include", "include_once", "require", "require_once", "eval",
	}
	if c < 0 || int(c) >= len(names) {
		return "unknown"
	}
	return names[c]
}

// Frame is one call on the stack of a process.
type Frame struct {
	// Address is that of the zend_execute_data, as php-fpm's slow log shows it.
	Address uint64
	Call    Call
	// Function is the function's or method's name; empty for code outside of functions. Class is the class that declares it, or
	// empty; Static says that it runs without an object. An anonymous class has the name "class@anonymous".
	Function string
	Class    string
	Static   bool
	// File and Line say which line runs in this frame, or waits for the frame before it. They are empty for code of extensions.
	// The engine stores the instruction it is at before calls and whatever else may fail, so in plain arithmetic Line can lag by a
	// few instructions; where JIT-compiled code stores none, Line is the function's first.
	File string
	Line int
	// CallFile and CallLine say where it was called: in the nearest frame outwards that is written in PHP. Empty and 0 if there
	// is none.
	CallFile string
	CallLine int
	// Args are the arguments, if Options.Args is set: for code written in PHP, what its parameters hold now.
	Args []Arg
	// MoreArgs is how many more were given than Args holds.
	MoreArgs int

	bare  bool // there is no function at all, which php-fpm calls ???
	blind bool // php-fpm does not find where it was called
}

// Arg is one argument.
type Arg struct {
	// Name is the parameter's name without $; empty for what is beyond the declared ones.
	Name string
	// Value is PHP's notation for null, booleans, numbers and strings (bounded, then "..."), array(COUNT), object(CLASS),
	// resource, "unset" or "?" (not known), after & for a reference; or Masked.
	Value string
}

// Masked stands for the value of a parameter whose name says that it is secret.
const Masked = "***"

// Name is what people call a frame: Class->method, Class::method, function, "{main}" for the main script, or the statement that
// included it.
func (f Frame) Name() string {
	switch {
	case f.Call == CallMain:
		return "{main}"
	case f.Call == CallNone:
		return "{engine}"
	case f.Function == "":
		return f.Call.String()
	case f.Class == "":
		return f.Function
	case f.Static:
		return f.Class + "::" + f.Function
	}
	return f.Class + "->" + f.Function
}

// Stack is what one process was doing at one moment.
type Stack struct {
	// PID is the process.
	PID int
	// Script is the main script's path (sapi_globals.request_info.path_translated); empty between requests.
	Script string
	// Frames are the calls, innermost first. None is a process that runs no script at the moment.
	Frames []Frame
	// Truncated says that there are more frames, outside of the last.
	Truncated bool
}
