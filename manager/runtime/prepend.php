<?php
// Runs before every script (auto_prepend_file): what php-fpm offers to scripts and php-cgi does not.

if (function_exists('putenv')) {
    // PHP programs that a script runs are not part of the pool: they must not read its ini file. PHP gives the variable
    // back at the end of the request, so this is needed in each.
    putenv(@INI_SCAN_DIR@);
}

if (isset($_SERVER['PHPSERVE_SERVER'])) {
    // Variables that php-cgi would look for the script with, had they been called by their names.
    foreach (explode(',', $_SERVER['PHPSERVE_SERVER']) as $_SERVER['PHPSERVE_SERVER']) {
        $_SERVER[$_SERVER['PHPSERVE_SERVER']] = $_SERVER['PHPSERVE_SERVER_' . $_SERVER['PHPSERVE_SERVER']];
        unset($_SERVER['PHPSERVE_SERVER_' . $_SERVER['PHPSERVE_SERVER']]);
    }
    unset($_SERVER['PHPSERVE_SERVER']);
}

if (!function_exists('fastcgi_finish_request') && function_exists('error_log') && function_exists('flush')) {
    /**
     * Ends the response to the client; the script goes on without one. Like php-fpm's function it returns true once and
     * false afterwards. Later output is dropped and never ends the script.
     */
    function fastcgi_finish_request(): bool
    {
        static $finished = false;
        if ($finished) {
            return false;
        }
        $finished = true;
        while (ob_get_level() > 0 && @ob_end_flush()) {
        }
        $empty = !headers_sent();
        flush();
        // php-cgi sends this as an FCGI_STDERR record, in order with the output above (SAPI log, type 4).
        error_log('@TOKEN@', 4);
        if ($empty) {
            echo ' '; // is dropped like all output from here on, but PHP sends the response head only with output
        }
        flush();
        return true;
    }
}

if (!function_exists('fpm_get_status') && function_exists('stream_socket_client') && function_exists('stream_get_contents')
    && function_exists('unserialize')) {
    /**
     * What the pool and its workers do, as php-fpm's function has it; false where phpserve does not answer.
     *
     * @return array|false
     */
    function fpm_get_status()
    {
        $socket = @stream_socket_client("unix://\0@STATUS@", $errno, $error, 5);
        if ($socket === false) {
            return false;
        }
        return @unserialize((string) stream_get_contents($socket), ['allowed_classes' => false]);
    }
}
