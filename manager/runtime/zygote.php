<?php
// The zygote of one phpserve pool. It runs as a request of php-cgi that never ends and forks the pool's workers, so that
// all of them share one opcache. A forked worker falls off the end of this file: php-cgi ends the request and goes on
// into its accept loop, where phpserve greets it.
//
// Nothing here may touch opcache's shared memory or draw random numbers: the first would be pulled from under this
// endless request by opcache_reset(), the second would be inherited by every worker. phpserve.ini turns opcache off for
// this folder.
//
// Where PHPSERVE_UID is set, this php-cgi belongs to root, and each worker gives root up before it leaves this file. Whatever goes
// wrong before that ends the process: php-cgi must never serve as root.
//
// Commands from phpserve, one byte each: f = fork a worker, r = look for dead workers now.
// Answers, one line each: ready PID | forked PID | failed TEXT | exited PID WAITSTATUS.

(static function (): void {
    $late = isset($_SERVER['PHPSERVE_UID']);
    $mayServe = true; // whether php-cgi may go on when this script ends
    $complain = static function (string $why): void {
        @file_put_contents('php://stderr', "phpserve: $why\n");
    };
    // Turns a forked process into one of the pool's user; says why it cannot.
    $drop = static function (): string {
        $uid = (int) $_SERVER['PHPSERVE_UID'];
        $gid = (int) $_SERVER['PHPSERVE_GID'];
        $root = $_SERVER['PHPSERVE_CHROOT'];
        $dir = $_SERVER['PHPSERVE_CHDIR'];
        $reason = static function (): string {
            return error_get_last()['message'] ?? 'no reason given';
        };
        if ($root !== '' && !@chroot($root)) {
            return "cannot enter the chroot $root: " . $reason();
        }
        if ($root !== '' && !@chdir($dir)) {
            return "cannot enter the folder $dir of the chroot $root: " . $reason();
        }
        // Of root this sets the real, the effective and the saved user and takes all capabilities (setuid(2), capabilities(7)).
        // Groups were set before this php-cgi was started.
        if ($uid === 0 || !@posix_setuid($uid)) {
            return "cannot become user $uid";
        }
        $groups = posix_getgroups();
        $groups[] = $gid;
        $groups = array_unique($groups);
        $wanted = array_unique(array_map('intval', explode(',', $_SERVER['PHPSERVE_GROUPS'])));
        sort($groups);
        sort($wanted);
        if (posix_getuid() !== $uid || posix_geteuid() !== $uid || posix_getgid() !== $gid || posix_getegid() !== $gid || $groups !== $wanted) {
            return "has not become user $uid, group $gid";
        }
        if (@posix_setuid(0) || @posix_seteuid(0) || $gid !== 0 && (@posix_setgid(0) || @posix_setegid(0))) {
            return 'could become root again';
        }
        return '';
    };
    if ($late) {
        register_shutdown_function(static function () use (&$mayServe): void {
            if (!$mayServe) {
                posix_kill(getmypid(), SIGKILL);
            }
        });
        // Once for trial: what cannot work is better said now than by every worker.
        $pair = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
        $pid = pcntl_fork();
        if ($pid === 0) {
            $mayServe = false;
            fwrite($pair[1], ($drop() ?: 'dropped') . "\n");
            date('c');
            fwrite($pair[1], "dated\n");
            posix_kill(getmypid(), SIGKILL);
        }
        fclose($pair[1]);
        $said = explode("\n", (string) stream_get_contents($pair[0]));
        fclose($pair[0]);
        pcntl_waitpid($pid, $status);
        if ($said[0] !== 'dropped') {
            echo 'a worker ', $said[0] === '' ? 'ended before it had given up root' : $said[0];
            return;
        }
        if (($said[1] ?? '') !== 'dated') {
            $complain("date() of this PHP fails in the chroot {$_SERVER['PHPSERVE_CHROOT']} without files of time zones, such as /usr/share/zoneinfo");
        }
    }
    $control = @stream_socket_client($_SERVER['PHPSERVE_CONTROL'] ?? '', $errno, $error, 5);
    if ($control === false) {
        echo 'cannot connect to the control socket: ', $error;
        return;
    }
    if (function_exists('set_time_limit')) {
        @set_time_limit(0);
    }
    pcntl_async_signals(true);
    // Only there to interrupt stream_select(). SIGTERM keeps php-cgi's own handler, which no PHP code could give back.
    pcntl_signal(SIGCHLD, static function (): void {}, false);
    fwrite($control, 'ready ' . getmypid() . "\n");

    $mayServe = !$late;
    $children = [];
    while (true) {
        while (($pid = pcntl_waitpid(-1, $status, WNOHANG)) > 0) {
            unset($children[$pid]);
            @fwrite($control, "exited $pid $status\n");
        }
        $read = [$control];
        $write = $except = null;
        // The second bounds how late an exit is told whose signal came just before the select; phpserve asks (r) when it
        // sees the end of a worker's connection.
        if (!@stream_select($read, $write, $except, 1)) {
            continue;
        }
        $commands = fread($control, 4096);
        if ($commands === '' || $commands === false) {
            foreach ($children as $pid => $_) {
                posix_kill($pid, SIGKILL);
            }
            posix_kill(getmypid(), SIGKILL);
        }
        for ($i = 0, $n = substr_count($commands, 'f'); $i < $n; $i++) {
            $pid = @pcntl_fork();
            if ($pid === 0) {
                // As if freshly started: nothing of the zygote may be left in a worker.
                fclose($control);
                pcntl_async_signals(false);
                pcntl_signal(SIGCHLD, SIG_DFL);
                // Zend keeps its own handler in front until the next such signal, which would cut short the first sleep()
                // of a script that runs a program (Zend/zend_signal.c:zend_sigaction, zend_signal_handler).
                posix_kill(getmypid(), SIGCHLD);
                if ($late) {
                    $why = $drop();
                    if ($why !== '') {
                        $complain("a worker $why");
                        posix_kill(getmypid(), SIGKILL);
                    }
                    $mayServe = true;
                }
                return;
            }
            if ($pid < 0) {
                fwrite($control, 'failed ' . pcntl_strerror(pcntl_get_last_error()) . "\n");
                continue;
            }
            $children[$pid] = true;
            fwrite($control, "forked $pid\n");
        }
    }
})();
