<?php

declare(strict_types=1);

namespace Guestbook;

/** One line of the guestbook. */
final class Entry
{
    public int $id;
    public string $name;
    public string $message;
    /** File name in the uploads folder, empty without an image. */
    public string $image;
    /** Unix time. */
    public int $created;

    public function __construct(int $id, string $name, string $message, string $image, int $created)
    {
        $this->id = $id;
        $this->name = $name;
        $this->message = $message;
        $this->image = $image;
        $this->created = $created;
    }

    /** @param array<string, mixed> $row */
    public static function fromRow(array $row): self
    {
        return new self(
            (int) $row['id'],
            (string) $row['name'],
            (string) $row['message'],
            (string) $row['image'],
            (int) $row['created'],
        );
    }

    /** @return array<string, mixed> the public form, as in /api/entries */
    public function toPublic(): array
    {
        return [
            'id' => $this->id,
            'name' => $this->name,
            'message' => $this->message,
            'image' => $this->image === '' ? null : "/image/$this->id",
            'created' => gmdate('Y-m-d\TH:i:s\Z', $this->created),
            'url' => "/entry/$this->id",
        ];
    }
}
