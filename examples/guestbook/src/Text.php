<?php

declare(strict_types=1);

namespace Guestbook;

/** Checks what visitors type. Uses only PCRE, for a PHP without mbstring. */
final class Text
{
    /** One line of up to $max characters. */
    public static function line(string $field, string $text, int $max): string
    {
        return self::check($field, $text, $max, '\p{Cc}\p{Zl}\p{Zp}');
    }

    /** Several lines, up to $max characters in all. */
    public static function paragraphs(string $field, string $text, int $max): string
    {
        return self::check($field, str_replace(["\r\n", "\r"], "\n", $text), $max, '\x00-\x08\x0B-\x1F\x7F');
    }

    /** Initial of a name, as one whole character with its accents. */
    public static function initial(string $name): string
    {
        return preg_match('/\X/u', $name, $match) === 1 ? $match[0] : '?';
    }

    private static function check(string $field, string $text, int $max, string $forbidden): string
    {
        $text = trim($text);
        if ($text === '') {
            throw new InvalidInput($field, "Please write a $field.");
        }
        if (preg_match("/\A[^$forbidden]*\z/u", $text) !== 1) {
            throw new InvalidInput($field, "The $field has characters that cannot be shown.");
        }
        if (preg_match_all('/./su', $text) > $max) {
            throw new InvalidInput($field, "The $field is longer than $max characters.");
        }
        return $text;
    }
}
