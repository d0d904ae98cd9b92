<?php
// The zygote of one phpserve pool. It runs as a request of php-cgi that never ends and forks the pool's workers, so that
// all of them share one opcache. A forked worker falls off the end of this file: php-cgi ends the request and goes on
// into its accept loop, where phpserve greets it.
//
// Nothing here may touch opcache's shared memory or draw random numbers: the first would be pulled from under this
// endless request by opcache_reset(), the second would be inherited by every worker. phpserve.ini turns opcache off for
// this folder.
//
// Commands from phpserve, one byte each: f = fork a worker, r = look for dead workers now.
// Answers, one line each: ready PID | forked PID | failed TEXT | exited PID WAITSTATUS.

(static function (): void {
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
