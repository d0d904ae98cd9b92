<?php

declare(strict_types=1);

namespace Guestbook;

/** The visitor's session: CSRF token, remembered name, a message for the next page. Starts on first use. */
final class Session
{
    private string $fallbackFolder;
    private bool $https;

    public function __construct(string $fallbackFolder, bool $https)
    {
        $this->fallbackFolder = $fallbackFolder;
        $this->https = $https;
    }

    public function token(): string
    {
        $this->start();
        return $_SESSION['token'] ??= bin2hex(random_bytes(32));
    }

    public function accepts(string $token): bool
    {
        return hash_equals($this->token(), $token);
    }

    public function name(): string
    {
        $this->start();
        return $_SESSION['name'] ?? '';
    }

    public function rememberName(string $name): void
    {
        $this->start();
        $_SESSION['name'] = $name;
    }

    public function flash(string $message): void
    {
        $this->start();
        $_SESSION['flash'] = $message;
    }

    /** The message left by the page before, once. */
    public function takeFlash(): string
    {
        $this->start();
        $message = $_SESSION['flash'] ?? '';
        unset($_SESSION['flash']);
        return $message;
    }

    private function start(): void
    {
        if (session_status() === PHP_SESSION_ACTIVE) {
            return;
        }
        // A configured store (Redis, a writable folder) is kept; only an unusable folder is replaced.
        $folder = preg_replace('/^.*;/', '', session_save_path()) ?: sys_get_temp_dir();
        if (ini_get('session.save_handler') === 'files' && !is_writable($folder)) {
            is_dir($this->fallbackFolder) || @mkdir($this->fallbackFolder, 0700);
            session_save_path($this->fallbackFolder);
            $folder = $this->fallbackFolder;
        }
        session_start([
            // Debian's folder may not be listed; there a cron job removes old sessions.
            'gc_probability' => is_readable($folder) ? 1 : 0,
            'name' => 'guestbook',
            'cookie_httponly' => true,
            'cookie_samesite' => 'Lax',
            'cookie_secure' => $this->https,
            'use_strict_mode' => true,
        ]);
    }
}
