<?php

declare(strict_types=1);

spl_autoload_register(static function (string $class): void {
    if (strncmp($class, 'Guestbook\\', 10) === 0) {
        require __DIR__ . '/' . str_replace('\\', '/', substr($class, 10)) . '.php';
    }
});
