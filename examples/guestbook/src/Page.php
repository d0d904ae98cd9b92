<?php

declare(strict_types=1);

namespace Guestbook;

/** One page of the list, newest entries first. */
final class Page
{
    private const SIZE = 8;

    public int $number;
    public int $last;
    public int $total;
    /** @var Entry[] */
    public array $entries;

    /** A number beyond the last page gives an empty page; an empty book has one page. */
    public function __construct(Store $store, int $number)
    {
        $this->number = $number;
        $this->total = $store->count();
        $this->last = max(1, intdiv($this->total + self::SIZE - 1, self::SIZE));
        $this->entries = $this->exists() ? $store->newest(self::SIZE, ($number - 1) * self::SIZE) : [];
    }

    public function exists(): bool
    {
        return $this->number >= 1 && $this->number <= $this->last;
    }

    public static function url(int $number): string
    {
        return $number === 1 ? '/' : "/page/$number";
    }
}
