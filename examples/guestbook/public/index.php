<?php

declare(strict_types=1);

// PHP's built-in web server asks this script for static files too; other servers never do.
if (PHP_SAPI === 'cli-server') {
    $file = __DIR__ . rawurldecode(explode('?', $_SERVER['REQUEST_URI'], 2)[0]);
    if ($file !== __FILE__ && is_file($file)) {
        return false;
    }
}

require __DIR__ . '/../src/autoload.php';

Guestbook\App::create()->handle(Guestbook\Request::fromGlobals())->send();
