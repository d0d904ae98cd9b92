<?php
// The first request on every connection that phpserve opens: which worker is at the other end?
echo 'phpserve-worker:', getmypid(), ';';

if (isset($_SERVER['PHPSERVE_OPCACHE'])) {
    // What the dashboard shows of opcache. PHP keeps some of it from scripts (opcache.restrict_api) and lacks some in old versions.
    $status = function_exists('opcache_get_status') ? @opcache_get_status(false) : null;
    if (is_array($status)) {
        foreach (['memory_usage', 'interned_strings_usage', 'opcache_statistics', 'jit'] as $part) {
            foreach ($status[$part] ?? [] as $name => $value) {
                echo "\n", $part, '.', $name, '=', is_bool($value) ? (int) $value : $value;
            }
        }
        echo "\nfull=", (int) $status['cache_full'];
    } else {
        echo $status === null ? "\nmissing=1" : "\nrefused=1";
    }
}
