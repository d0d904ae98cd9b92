<?php

declare(strict_types=1);

namespace Guestbook;

use RuntimeException;

/** Entries as lines of JSON in one file, for a PHP without pdo_sqlite. Locks keep the workers apart. */
final class FileStore implements Store
{
    private string $file;

    public function __construct(string $file)
    {
        $this->file = $file;
    }

    public function label(): string
    {
        return 'flat file';
    }

    public function count(): int
    {
        return count($this->all());
    }

    public function newest(int $limit, int $offset): array
    {
        return array_slice(array_reverse($this->all()), $offset, $limit);
    }

    public function find(int $id): ?Entry
    {
        foreach ($this->all() as $entry) {
            if ($entry->id === $id) {
                return $entry;
            }
        }
        return null;
    }

    public function add(string $name, string $message, string $image): Entry
    {
        $handle = $this->open(LOCK_EX);
        $entries = $this->read($handle);
        $last = end($entries);
        $entry = new Entry($last ? $last->id + 1 : 1, $name, $message, $image, time());

        $line = json_encode($entry, JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE) . "\n";
        // A line that a crash cut short must not swallow this one.
        if (fseek($handle, -1, SEEK_END) === 0 && fgetc($handle) !== "\n") {
            $line = "\n$line";
        }
        fseek($handle, 0, SEEK_END);
        if (fwrite($handle, $line) !== strlen($line) || !fflush($handle)) {
            throw new RuntimeException("cannot write $this->file");
        }
        fclose($handle);
        return $entry;
    }

    /** @return Entry[] oldest first */
    private function all(): array
    {
        $handle = $this->open(LOCK_SH);
        $entries = $this->read($handle);
        fclose($handle);
        return $entries;
    }

    /** @return resource locked until closed */
    private function open(int $lock)
    {
        $handle = fopen($this->file, 'c+b');
        if ($handle === false || !flock($handle, $lock)) {
            throw new RuntimeException("cannot open $this->file");
        }
        return $handle;
    }

    /**
     * @param resource $handle
     * @return Entry[]
     */
    private function read($handle): array
    {
        $entries = [];
        while (($line = fgets($handle)) !== false) {
            $row = json_decode($line, true);
            if (is_array($row)) {
                $entries[] = Entry::fromRow($row);
            }
        }
        return $entries;
    }
}
