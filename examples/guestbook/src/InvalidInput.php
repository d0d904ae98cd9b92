<?php

declare(strict_types=1);

namespace Guestbook;

use Exception;

/** A form field the visitor has to correct. */
final class InvalidInput extends Exception
{
    public string $field;

    public function __construct(string $field, string $message)
    {
        parent::__construct($message);
        $this->field = $field;
    }
}
