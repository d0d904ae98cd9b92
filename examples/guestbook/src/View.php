<?php

declare(strict_types=1);

namespace Guestbook;

/** Renders templates/*.php inside the layout. Templates print through $e(), which escapes. */
final class View
{
    private string $folder;

    public function __construct(string $folder)
    {
        $this->folder = $folder;
    }

    /** @param array<string, mixed> $data */
    public function page(string $template, string $title, array $data = []): string
    {
        return $this->render('layout', ['title' => $title, 'content' => $this->render($template, $data)]);
    }

    /** @param array<string, mixed> $data */
    public function render(string $template, array $data): string
    {
        $e = static function ($value): string {
            return htmlspecialchars((string) $value, ENT_QUOTES | ENT_SUBSTITUTE, 'UTF-8');
        };
        $view = $this;
        extract($data, EXTR_SKIP);
        ob_start();
        try {
            require "$this->folder/$template.php";
            return (string) ob_get_contents();
        } finally {
            ob_end_clean();
        }
    }
}
