<?php

declare(strict_types=1);

namespace Guestbook;

use PDO;

/** Entries in an SQLite database. */
final class SqliteStore implements Store
{
    private PDO $db;

    public function __construct(string $file)
    {
        $this->db = new PDO("sqlite:$file", null, null, [
            PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
            PDO::ATTR_DEFAULT_FETCH_MODE => PDO::FETCH_ASSOC,
            PDO::ATTR_TIMEOUT => 5, // seconds to wait for another worker's write
        ]);
        $this->db->exec(
            'CREATE TABLE IF NOT EXISTS entry (
                id INTEGER PRIMARY KEY AUTOINCREMENT,
                name TEXT NOT NULL,
                message TEXT NOT NULL,
                image TEXT NOT NULL,
                created INTEGER NOT NULL
            )'
        );
    }

    public static function available(): bool
    {
        return extension_loaded('pdo_sqlite');
    }

    public function label(): string
    {
        return 'SQLite ' . $this->db->getAttribute(PDO::ATTR_SERVER_VERSION);
    }

    public function count(): int
    {
        return (int) $this->db->query('SELECT count(*) FROM entry')->fetchColumn();
    }

    public function newest(int $limit, int $offset): array
    {
        $query = $this->db->prepare('SELECT * FROM entry ORDER BY id DESC LIMIT ? OFFSET ?');
        $query->bindValue(1, $limit, PDO::PARAM_INT);
        $query->bindValue(2, $offset, PDO::PARAM_INT);
        $query->execute();
        return array_map([Entry::class, 'fromRow'], $query->fetchAll());
    }

    public function find(int $id): ?Entry
    {
        $query = $this->db->prepare('SELECT * FROM entry WHERE id = ?');
        $query->execute([$id]);
        $row = $query->fetch();
        return $row === false ? null : Entry::fromRow($row);
    }

    public function add(string $name, string $message, string $image): Entry
    {
        $created = time();
        $this->db->prepare('INSERT INTO entry (name, message, image, created) VALUES (?, ?, ?, ?)')
            ->execute([$name, $message, $image, $created]);
        return new Entry((int) $this->db->lastInsertId(), $name, $message, $image, $created);
    }
}
