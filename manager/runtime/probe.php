<?php
// Run once from the command line: what can this PHP do, with the ini files that the pool's workers will read? phpserve has turned off what
// could keep this script from running, and gives it what was set as phpserve.NAME (manager/probe.go).
$need = ['pcntl_fork', 'pcntl_waitpid'];
if (PHP_OS !== 'Linux') {
    $need[] = 'posix_kill'; // on Linux the kernel ends what phpserve leaves behind
}
// And for a zygote that gives up root by itself?
$drop = ['posix_setuid', 'chroot', 'chdir'];
$facts = [
    'need' => implode(' ', $need),
    'missing' => implode(' ', array_filter($need, function ($f) { return !function_exists($f); })),
    'drop_need' => implode(' ', $drop),
    'drop_missing' => implode(' ', array_filter($drop, function ($f) { return !function_exists($f); })),
    'zts' => PHP_ZTS ? '1' : '',
    'opcache' => extension_loaded('Zend OPcache') ? '1' : '',
    'fastcgi.error_header' => (string) get_cfg_var('fastcgi.error_header'),
    'ini' => (string) php_ini_loaded_file(),
    'zones' => timezone_version_get(), // of the system's files (Debian, Fedora) or of PHP's own
    'settings' => implode(' ', array_keys(ini_get_all(null, false))),
    // Of the files that the pool's PHP is to read, which can this user not?
    'unreadable' => implode("\n", array_filter(explode("\n", (string) getenv('PHPSERVE_INI_FILES')),
        function ($file) { return $file !== '' && !is_readable($file); })),
    // What a new PHP would read at its start, folders too: a file may have been added.
    'files' => implode("\n", array_filter(array_merge([(string) php_ini_loaded_file(), (string) ini_get('extension_dir')],
        array_map('trim', explode(',', (string) php_ini_scanned_files())),
        array_map(function ($dir) { return $dir === '' ? PHP_CONFIG_FILE_SCAN_DIR : $dir; },
            explode(PATH_SEPARATOR, (string) getenv('PHP_INI_SCAN_DIR')))), 'strlen')),
];
// What the pool is made with, and what those see who look at the configuration.
foreach (['cgi.fix_pathinfo', 'cgi.discard_path', 'expose_php', 'default_charset', 'log_errors', 'memory_limit', 'max_execution_time', 'upload_max_filesize',
    'post_max_size', 'display_errors', 'error_log', 'doc_root', 'date.timezone', 'opcache.enable', 'opcache.file_cache_only', 'opcache.validate_timestamps',
    'opcache.memory_consumption', 'opcache.jit', 'opcache.jit_buffer_size', 'opcache.preload', 'opcache.preload_user', 'opcache.file_cache', 'opcache.error_log'] as $name) {
    $facts[$name] = (string) ini_get($name);
}
foreach (get_cfg_var('phpserve') ?: [] as $name => $value) {
    $facts[$name] = (string) $value;
}
foreach ($facts as $name => $value) {
    echo "\nphpserve:$name=", bin2hex($value);
}
echo "\n";
