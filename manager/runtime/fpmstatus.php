<?php

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
