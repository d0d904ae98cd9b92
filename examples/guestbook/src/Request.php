<?php

declare(strict_types=1);

namespace Guestbook;

/** What the visitor sent, read once from PHP's superglobals. */
final class Request
{
    public string $method;
    public string $path;
    public bool $https;

    /** @var array<string, mixed> */
    private array $server;
    /** @var array<string, mixed> */
    private array $query;
    /** @var array<string, mixed> */
    private array $post;
    /** @var array<string, mixed> */
    private array $files;

    /**
     * @param array<string, mixed> $server
     * @param array<string, mixed> $query
     * @param array<string, mixed> $post
     * @param array<string, mixed> $files
     */
    public function __construct(array $server, array $query, array $post, array $files)
    {
        $this->server = $server;
        $this->query = $query;
        $this->post = $post;
        $this->files = $files;
        $this->method = $this->header('REQUEST_METHOD', 'GET');
        $this->path = rawurldecode(explode('?', $this->header('REQUEST_URI', '/'), 2)[0]);
        $this->https = !in_array(strtolower($this->header('HTTPS')), ['', 'off'], true);
    }

    public static function fromGlobals(): self
    {
        return new self($_SERVER, $_GET, $_POST, $_FILES);
    }

    public function header(string $variable, string $default = ''): string
    {
        return (string) ($this->server[$variable] ?? $default);
    }

    /** A form field. One sent as name[]=... is no text and counts as empty. */
    public function post(string $field): string
    {
        $value = $this->post[$field] ?? '';
        return is_string($value) ? $value : '';
    }

    public function queryNumber(string $key, int $default): int
    {
        $value = filter_var($this->query[$key] ?? $default, FILTER_VALIDATE_INT);
        return is_int($value) ? $value : 0;
    }

    /** @return array<string, mixed>|null one entry of $_FILES, null if no file was chosen */
    public function file(string $field): ?array
    {
        $file = $this->files[$field] ?? null;
        return is_array($file) && ($file['error'] ?? null) !== UPLOAD_ERR_NO_FILE ? $file : null;
    }

    /** PHP throws a body beyond post_max_size away, token and all: only its length is left to tell. */
    public function bodyWasDropped(): bool
    {
        return $this->method === 'POST' && $this->post === [] && $this->files === []
            && (int) $this->header('CONTENT_LENGTH') > 0
            && strncmp($this->header('CONTENT_TYPE'), 'multipart/form-data', 19) === 0;
    }
}
