<?php

declare(strict_types=1);

namespace Guestbook;

/** Where entries are kept. */
interface Store
{
    /** For people: which kind of store this is. */
    public function label(): string;

    public function count(): int;

    /** @return Entry[] newest first */
    public function newest(int $limit, int $offset): array;

    public function find(int $id): ?Entry;

    /** Stores a new entry and returns it with its id. */
    public function add(string $name, string $message, string $image): Entry;
}
