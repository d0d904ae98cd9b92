<?php
// The first request on every connection that phpserve opens: which worker is at the other end? On Linux the kernel tells
// phpserve who has written an answer, whatever it says, so that nothing is lost where getmypid() is disabled.
try {
    echo 'phpserve-worker:', @getmypid(), ';';
} catch (Error $e) {
    echo 'phpserve-worker';
}

if (isset($_SERVER['PHPSERVE_OPCACHE'])) {
    // What the dashboard shows of opcache. PHP keeps some of it from scripts (opcache.restrict_api) and lacks some in old versions.
    try {
        $status = @opcache_get_status(false);
    } catch (Error $e) {
        $status = null; // there is no such function
    }
    if (isset($status['memory_usage'])) {
        foreach (['memory_usage', 'interned_strings_usage', 'opcache_statistics', 'jit'] as $part) {
            foreach ($status[$part] ?? [] as $name => $value) {
                echo "\n", $part, '.', $name, '=', $value === false ? 0 : $value;
            }
        }
        echo "\nfull=", (int) $status['cache_full'];
    } else {
        echo $status === null ? "\nmissing=1" : "\nrefused=1";
    }
}
