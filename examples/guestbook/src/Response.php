<?php

declare(strict_types=1);

namespace Guestbook;

/** One answer: status, headers, and a body that is text or a file. */
final class Response
{
    private const SECURITY = [
        'Content-Security-Policy' => "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
            . "base-uri 'none'; frame-ancestors 'none'",
        'Referrer-Policy' => 'same-origin',
        'X-Content-Type-Options' => 'nosniff',
    ];

    private int $status;
    /** @var array<string, string> */
    private array $headers;
    private string $body;
    private string $file;

    /** @param array<string, string> $headers */
    private function __construct(int $status, array $headers, string $body = '', string $file = '')
    {
        $this->status = $status;
        $this->headers = $headers + self::SECURITY;
        $this->body = $body;
        $this->file = $file;
    }

    public static function html(string $body, int $status = 200): self
    {
        return new self($status, ['Content-Type' => 'text/html; charset=utf-8'], $body);
    }

    /** @param array<string, mixed> $data */
    public static function json(array $data, int $status = 200): self
    {
        $flags = JSON_THROW_ON_ERROR | JSON_PRETTY_PRINT | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE;
        return new self($status, ['Content-Type' => 'application/json'], json_encode($data, $flags) . "\n");
    }

    public static function redirect(string $location, int $status = 303): self
    {
        return new self($status, ['Location' => $location]);
    }

    /** An uploaded file, or 304 if the visitor's copy is still good. Uploads never change: the name is the ETag. */
    public static function upload(string $file, string $type, string $ifNoneMatch): self
    {
        $etag = '"' . basename($file) . '"';
        $headers = [
            'Cache-Control' => 'no-cache',
            'Content-Security-Policy' => "default-src 'none'; sandbox",
            'ETag' => $etag,
        ];
        if (strpos($ifNoneMatch, $etag) !== false) {
            return new self(304, $headers);
        }
        $headers += ['Content-Type' => $type, 'Content-Length' => (string) filesize($file)];
        return new self(200, $headers, '', $file);
    }

    public function with(string $header, string $value): self
    {
        $copy = clone $this;
        $copy->headers[$header] = $value;
        return $copy;
    }

    public function send(): void
    {
        http_response_code($this->status);
        header_remove('X-Powered-By');
        foreach ($this->headers as $header => $value) {
            header("$header: $value");
        }
        if ($this->file !== '') {
            readfile($this->file);
        } else {
            echo $this->body;
        }
    }
}
