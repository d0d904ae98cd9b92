// Package phpstack reads the PHP call stack of a running php-cgi, php-fpm or php process from outside, and samples such stacks for
// profiles. The process needs no extension and no debug symbols, is not stopped, and does not notice.
//
//	Open      the binary's ELF file: which PHP, and where executor_globals and sapi_globals are
//	Attach    one process of that binary: where the kernel has loaded it
//	Trace     snapshot the chain of zend_execute_data, then decode each frame
//	SelfTest  a process whose stack is known: is what Trace says true here?
//
//	executor_globals.current_execute_data ─▶ zend_execute_data ─ prev ─▶ zend_execute_data ─ prev ─▶ … ─▶ main script
//	                                           │ opline ─▶ zend_op.lineno      (innermost first)
//	                                           └ func ─▶ zend_function: type, name, scope, file
//
// # Why the process is never stopped
//
// php-fpm stops a worker with ptrace(PTRACE_ATTACH), or SIGSTOP, to read it. Both end a system call that the worker sits in. The
// kernel restarts most of them, but not those that signal(7) lists under "Interruption of system calls and library functions by stop
// signals": epoll_wait, semop, and socket calls with a timeout set return EINTR to the script. So a look at a worker can change what
// the worker does. Instead, the chain is copied by one process_vm_readv(2) call that begins and ends with current_execute_data;
// a copy in which the two differ is taken again. What the frames point at is checked when it is decoded: type tags of the engine's
// strings, functions and classes, ranges of lengths, lines and instructions, printable names. What does not pass is read again, and
// after that it is an error, never a frame.
//
// # What is not seen
//
// Functions that PHP 8.4 and later run without a frame (ZEND_FRAMELESS_ICALL), generators that delegate with yield from, and what a
// function of an extension calls inside itself. A script whose functions take nanoseconds is caught more often in what takes longer.
package phpstack
