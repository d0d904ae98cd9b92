<?php

declare(strict_types=1);

namespace Guestbook;

use RuntimeException;

/** Images sent by visitors. They lie outside the document root under names of our own choice. */
final class Uploads
{
    public const MAX_BYTES = 2 * 1024 * 1024;

    private const TYPES = [
        'jpg' => 'image/jpeg',
        'png' => 'image/png',
        'gif' => 'image/gif',
        'webp' => 'image/webp',
    ];

    private string $folder;

    public function __construct(string $folder)
    {
        $this->folder = $folder;
    }

    /**
     * Checks an upload and keeps it.
     *
     * @param array<string, mixed> $upload one entry of $_FILES
     * @return string the name it is kept under
     * @throws InvalidInput if it is not an image of a known type and size
     */
    public function keep(array $upload): string
    {
        $error = $upload['error'] ?? null;
        if ($error === UPLOAD_ERR_INI_SIZE || $error === UPLOAD_ERR_FORM_SIZE) {
            throw new InvalidInput('image', 'The image is larger than 2 MB.');
        }
        $temporary = $upload['tmp_name'] ?? null;
        if ($error !== UPLOAD_ERR_OK || !is_string($temporary) || !is_uploaded_file($temporary)) {
            throw new InvalidInput('image', 'The image did not arrive whole. Please try again.');
        }
        if (filesize($temporary) > self::MAX_BYTES) {
            throw new InvalidInput('image', 'The image is larger than 2 MB.');
        }
        $name = bin2hex(random_bytes(16)) . '.' . $this->extension($temporary);
        is_dir($this->folder) || @mkdir($this->folder, 0700);
        if (!move_uploaded_file($temporary, "$this->folder/$name")) {
            throw new RuntimeException("cannot move the upload to $this->folder");
        }
        return $name;
    }

    public function forget(string $name): void
    {
        if ($name !== '') {
            unlink($this->path($name));
        }
    }

    public function path(string $name): string
    {
        return $this->folder . '/' . basename($name);
    }

    public function type(string $name): string
    {
        return self::TYPES[pathinfo($name, PATHINFO_EXTENSION)];
    }

    /** The content decides, never the file name or type the browser sent. */
    private function extension(string $file): string
    {
        $info = @getimagesizefromstring((string) file_get_contents($file));
        $extension = $info === false ? false : array_search($info['mime'], self::TYPES, true);
        if ($extension === false) {
            throw new InvalidInput('image', 'This is not a JPEG, PNG, GIF or WebP image.');
        }
        return $extension;
    }
}
