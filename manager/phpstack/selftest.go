package phpstack

import (
	"errors"
	"fmt"
)

// SelfTest compares the stack of a process that runs a known script, and waits in a known place of it, with the frames that must be
// there, all of them, innermost first. Of each frame, Function, Class and, where they are not zero, Call, File and Line are compared. An
// error means that this Reader must not be used for this binary, and says why; it is meant for the operator.
func (r *Reader) SelfTest(pid int, want []Frame) error {
	stack, err := r.Trace(pid, Options{})
	if err == nil {
		err = compare(stack, want)
	}
	if err != nil {
		return fmt.Errorf("the tracer is off for %q (PHP %s) because its self-test failed: %w", r.path, r.Version(), err)
	}
	return nil
}

// compare says in what a stack is not what it should be.
func compare(stack Stack, want []Frame) error {
	if len(stack.Frames) == 0 && len(want) > 0 {
		return errors.New("no script is running")
	}
	for i, w := range want {
		if i == len(stack.Frames) {
			return fmt.Errorf("the stack has %d frames, not %d", i, len(want))
		}
		f := stack.Frames[i]
		if f.Function != w.Function || f.Class != w.Class || w.Call != CallNone && f.Call != w.Call ||
			w.File != "" && f.File != w.File || w.Line != 0 && f.Line != w.Line {
			return fmt.Errorf("frame %d is %s %q at %q:%d, not %s %q at %q:%d",
				i, f.Call, f.Name(), f.File, f.Line, w.Call, w.Name(), w.File, w.Line)
		}
	}
	if len(stack.Frames) > len(want) {
		return fmt.Errorf("the stack has %d frames, not %d", len(stack.Frames), len(want))
	}
	return nil
}
