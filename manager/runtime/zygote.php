<?php
// The zygote of one phpserve pool. It runs as a request of php-cgi that never ends and forks the pool's workers, so that
// all of them share one opcache. A forked worker falls off the end of this file: php-cgi ends the request and goes on
// into its accept loop, where phpserve greets it.
//
// Nothing here may touch opcache's shared memory or draw random numbers: the first would be pulled from under this
// endless request by opcache_reset(), the second would be inherited by every worker. phpserve.ini turns opcache off for
// this folder.
//
// It calls as few functions as it can, because a pool may take any function away (disable_functions). What methods and
// language constructs can do is left to them. phpserve itself finds out which process this is, and whether it is what it
// should be.
//
// Where PHPSERVE_UID is set, this php-cgi was started by root, and gives root up here, before its first worker exists: no
// process of root may run PHP code over memory that workers can write to. The two pipes are opened before, because they
// are out of reach in a chroot.
//
// Commands from phpserve, one byte each: f = fork a worker, r = look for dead workers now.
// Answers, one line each: root (which waits for any command) | ready | forked PID | failed TEXT | exited PID WAITSTATUS.

(static function (): void {
    $commands = new SplFileObject($_SERVER['PHPSERVE_COMMANDS'], 'r');
    $answers = new SplFileObject($_SERVER['PHPSERVE_ANSWERS'], 'w');
    if (isset($_SERVER['PHPSERVE_UID'])) {
        $answers->fwrite("root\n"); // what phpserve must do before
        $commands->fgetc();
        if ($_SERVER['PHPSERVE_CHROOT'] !== '' && !chroot($_SERVER['PHPSERVE_CHROOT'])) {
            $answers->fwrite("failed cannot enter the chroot {$_SERVER['PHPSERVE_CHROOT']}\n");
            return;
        }
        // chroot() has gone to the new root folder.
        if ($_SERVER['PHPSERVE_CHROOT'] !== '' && $_SERVER['PHPSERVE_CHDIR'] !== '/' && !chdir($_SERVER['PHPSERVE_CHDIR'])) {
            $answers->fwrite("failed cannot enter the folder {$_SERVER['PHPSERVE_CHDIR']} of the chroot {$_SERVER['PHPSERVE_CHROOT']}\n");
            return;
        }
        // Of root this sets the real, the effective and the saved user and takes all capabilities (setuid(2), capabilities(7)).
        // Groups were set before this php-cgi was started.
        if (!posix_setuid((int) $_SERVER['PHPSERVE_UID'])) {
            $answers->fwrite("failed cannot become user {$_SERVER['PHPSERVE_UID']}\n");
            return;
        }
    }
    $answers->fwrite("ready\n");

    while (($command = $commands->fgetc()) !== false && $command !== '') {
        while (($pid = pcntl_waitpid(-1, $status, 1)) > 0) { // WNOHANG
            $answers->fwrite("exited $pid $status\n");
        }
        if ($command !== 'f') {
            continue;
        }
        $pid = @pcntl_fork();
        if ($pid === 0) {
            return;
        }
        if ($pid > 0) {
            $answers->fwrite("forked $pid\n");
            continue;
        }
        $why = 'fork(2) failed';
        try {
            $why = @pcntl_strerror(@pcntl_get_last_error()) ?? $why;
        } catch (Error $e) {
            // One of these is disabled.
        }
        $answers->fwrite("failed $why\n");
    }
    // phpserve has ended. On Linux the kernel has ended this process group already.
    posix_kill(0, 9);
})();
