<?php

/**
 * Ends the response to the client; the script goes on without one. Like php-fpm's function it returns true once and false
 * afterwards. Later output is dropped and never ends the script. Where a script cannot end an output buffer that it has made, the
 * response stays open and the function returns false: nothing is lost.
 */
function fastcgi_finish_request(): bool
{
    static $finished = false;
    if ($finished) {
        return false;
    }
    $thrown = null;
    $open = false;
    while (!$open && ($level = ob_get_level()) > 0) {
        $may = ob_get_status()['flags'];
        try {
            if ($may & PHP_OUTPUT_HANDLER_REMOVABLE) {
                ob_end_flush();
            } elseif ($level === 1 && $may & PHP_OUTPUT_HANDLER_FLUSHABLE) {
                ob_flush(); // to the client: no other buffer is below
                break;
            } else {
                $open = true;
            }
        } catch (Throwable $t) { // of the buffer's callback; PHP has sent on what the buffer held, as php-fpm does
            $thrown = $thrown ?? $t;
            if (ob_get_level() === $level) {
                break; // it was the last one
            }
        }
    }
    $empty = !headers_sent();
    $open = $open || $empty && ob_get_level() > 0;
    if (!$open) {
        $finished = true;
        flush();
        // php-cgi sends this as an FCGI_STDERR record, in order with the output above (SAPI log, type 4).
        error_log('@TOKEN@', 4);
        if ($empty) {
            echo ' '; // is dropped like all output from here on, but PHP sends the response head only with output
        }
        flush();
    }
    if ($thrown !== null) {
        throw $thrown;
    }
    return !$open;
}
