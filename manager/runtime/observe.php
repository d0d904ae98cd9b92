<?php

if (function_exists('register_shutdown_function') && function_exists('error_log') && function_exists('memory_get_peak_usage')) {
    // How much memory the script used, before the script's own shutdown functions: as php-fpm measures it.
    register_shutdown_function(static function (): void {
        error_log('@TOKEN@=' . memory_get_peak_usage(true) . ';', 4);
    });
}
