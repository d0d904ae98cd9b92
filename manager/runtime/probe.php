<?php
// Run once from the command line: what can this PHP do, with the ini files that the pool's workers will read?
$need = ['pcntl_fork', 'pcntl_waitpid', 'pcntl_signal', 'pcntl_async_signals', 'pcntl_strerror', 'pcntl_get_last_error',
    'posix_kill', 'getmypid', 'stream_socket_client', 'stream_select', 'fread', 'fwrite', 'fclose', 'substr_count'];
// And for workers that give up root by themselves?
$drop = ['chroot', 'chdir', 'posix_setuid', 'posix_seteuid', 'posix_setgid', 'posix_setegid', 'posix_getuid', 'posix_geteuid',
    'posix_getgid', 'posix_getegid', 'posix_getgroups', 'register_shutdown_function', 'stream_socket_pair', 'stream_get_contents',
    'file_put_contents', 'error_get_last', 'array_map', 'array_unique', 'explode', 'sort', 'date', 'flush'];
$facts = [
    'need' => implode(' ', $need),
    'missing' => implode(' ', array_filter($need, function ($f) { return !function_exists($f); })),
    'drop_need' => implode(' ', $drop),
    'drop_missing' => implode(' ', array_filter($drop, function ($f) { return !function_exists($f); })),
    'disable_functions' => (string) ini_get('disable_functions'),
    'zts' => PHP_ZTS ? '1' : '',
    'opcache' => extension_loaded('Zend OPcache') && ini_get('opcache.enable') ? '1' : '',
    'auto_prepend_file' => (string) ini_get('auto_prepend_file'),
    'open_basedir' => (string) ini_get('open_basedir'),
    'cgi.fix_pathinfo' => (string) ini_get('cgi.fix_pathinfo'),
    'cgi.discard_path' => (string) ini_get('cgi.discard_path'),
    'doc_root' => (string) ini_get('doc_root'),
    'expose_php' => (string) ini_get('expose_php'),
    'default_charset' => (string) ini_get('default_charset'),
    'fastcgi.error_header' => (string) get_cfg_var('fastcgi.error_header'),
    'log_errors' => (string) ini_get('log_errors'),
    'ini' => (string) php_ini_loaded_file(),
    // Of the files that the pool's PHP is to read, which can this user not? With open_basedir that cannot be told.
    'unreadable' => ini_get('open_basedir') ? '' : implode("\n", array_filter(explode("\n", (string) getenv('PHPSERVE_INI_FILES')),
        function ($file) { return $file !== '' && !is_readable($file); })),
    'opcache.validate_timestamps' => extension_loaded('Zend OPcache') ? (ini_get('opcache.validate_timestamps') ? '1' : '0') : '1',
    // What a new PHP would read at its start, folders too: a file may have been added.
    'files' => implode("\n", array_filter(array_merge([(string) php_ini_loaded_file(), (string) ini_get('extension_dir')],
        array_map('trim', explode(',', (string) php_ini_scanned_files())),
        array_map(function ($dir) { return $dir === '' ? PHP_CONFIG_FILE_SCAN_DIR : $dir; },
            explode(PATH_SEPARATOR, (string) getenv('PHP_INI_SCAN_DIR')))), 'strlen')),
];
// For those who look at the configuration.
foreach (['memory_limit', 'max_execution_time', 'upload_max_filesize', 'post_max_size', 'display_errors', 'error_log', 'date.timezone',
    'opcache.enable', 'opcache.memory_consumption', 'opcache.jit', 'opcache.jit_buffer_size'] as $name) {
    $facts[$name] = (string) ini_get($name);
}
foreach ($facts as $name => $value) {
    echo "\nphpserve:$name=", bin2hex($value);
}
echo "\n";
