<?php
// Runs in front of every script of a pool whose requests are all measured (auto_prepend_file).
register_shutdown_function(static function (): void {
    // How much memory the script used, before the script's own shutdown functions: as php-fpm measures it.
    error_log('@TOKEN@=' . memory_get_peak_usage(true) . ';', 4);
});
@INCLUDE@
