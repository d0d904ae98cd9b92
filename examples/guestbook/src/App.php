<?php

declare(strict_types=1);

namespace Guestbook;

use Throwable;

/** The guestbook: every URL it knows and what it answers. */
final class App
{
    private Store $store;
    private Uploads $uploads;
    private View $view;
    private string $data;

    public function __construct(Store $store, Uploads $uploads, View $view, string $data)
    {
        $this->store = $store;
        $this->uploads = $uploads;
        $this->view = $view;
        $this->data = $data;
    }

    public static function create(): self
    {
        $data = DataFolder::locate(dirname(__DIR__) . '/data');
        $store = SqliteStore::available()
            ? new SqliteStore("$data/guestbook.sqlite")
            : new FileStore("$data/guestbook.jsonl");
        return new self($store, new Uploads("$data/images"), new View(dirname(__DIR__) . '/templates'), $data);
    }

    public function handle(Request $request): Response
    {
        try {
            return $this->route($request);
        } catch (Throwable $error) {
            error_log((string) $error);
            return $this->problem(500, 'Something broke', 'The guestbook hit an error. Its log knows more.');
        }
    }

    private function route(Request $request): Response
    {
        $path = $request->path;
        if ($path === '/' && $request->method === 'POST') {
            return $this->sign($request);
        }
        if ($request->method !== 'GET' && $request->method !== 'HEAD') {
            return $this->problem(405, 'Not like this', 'This page can only be read.')
                ->with('Allow', $path === '/' ? 'GET, HEAD, POST' : 'GET, HEAD');
        }
        if ($path === '/') {
            return $this->list($request, 1);
        }
        if ($path === '/index.php' || $path === '/page/1') {
            return Response::redirect('/', 301);
        }
        if ($path === '/about') {
            return $this->about($request);
        }
        if ($path === '/api/entries') {
            return $this->api($request);
        }
        if (preg_match('~^/(page|entry|image)/([1-9][0-9]{0,8})$~D', $path, $match) === 1) {
            $number = (int) $match[2];
            switch ($match[1]) {
                case 'page':
                    return $this->list($request, $number);
                case 'entry':
                    return $this->entry($number);
                case 'image':
                    return $this->image($request, $number);
            }
        }
        return $this->notFound();
    }

    /** @param array<string, string> $errors field => what is wrong with it */
    private function list(Request $request, int $number, array $errors = []): Response
    {
        $page = new Page($this->store, $number);
        if (!$page->exists()) {
            return $this->notFound();
        }
        $session = $this->session($request);
        $html = $this->view->page('list', $number === 1 ? 'Guestbook' : "Guestbook, page $number", [
            'page' => $page,
            'flash' => $session->takeFlash(),
            'token' => $session->token(),
            'errors' => $errors,
            'name' => $errors === [] ? $session->name() : $request->post('name'),
            'message' => $request->post('message'),
        ]);
        return Response::html($html, $errors === [] ? 200 : 422);
    }

    private function sign(Request $request): Response
    {
        if ($request->bodyWasDropped()) {
            return $this->problem(413, 'Too large', 'An image may have up to 2 MB. Nothing was stored.');
        }
        $session = $this->session($request);
        if (!$session->accepts($request->post('token'))) {
            return $this->problem(403, 'Form expired', 'Please go back, reload the page and send it again.');
        }
        try {
            $name = Text::line('name', $request->post('name'), 60);
            $message = Text::paragraphs('message', $request->post('message'), 2000);
            $upload = $request->file('image');
            $image = $upload === null ? '' : $this->uploads->keep($upload);
        } catch (InvalidInput $error) {
            return $this->list($request, 1, [$error->field => $error->getMessage()]);
        }
        try {
            $this->store->add($name, $message, $image);
        } catch (Throwable $error) {
            $this->uploads->forget($image);
            throw $error;
        }
        $session->rememberName($name);
        $session->flash("Thank you, $name. Your entry is in the book.");
        return Response::redirect('/');
    }

    private function entry(int $id): Response
    {
        $entry = $this->store->find($id);
        return $entry === null
            ? $this->notFound()
            : Response::html($this->view->page('entry', "$entry->name in the guestbook", ['entry' => $entry]));
    }

    private function image(Request $request, int $id): Response
    {
        $entry = $this->store->find($id);
        if ($entry === null || $entry->image === '' || !is_file($this->uploads->path($entry->image))) {
            return $this->notFound();
        }
        return Response::upload(
            $this->uploads->path($entry->image),
            $this->uploads->type($entry->image),
            $request->header('HTTP_IF_NONE_MATCH')
        );
    }

    private function about(Request $request): Response
    {
        return Response::html($this->view->page('about', 'About this guestbook', ['facts' => [
            'PHP' => PHP_VERSION,
            'SAPI' => PHP_SAPI,
            'Server' => $request->header('SERVER_SOFTWARE', 'unknown'),
            'Protocol' => $request->header('SERVER_PROTOCOL', 'unknown') . ($request->https ? ' over TLS' : ''),
            'Worker' => 'process ' . getmypid(),
            'OPcache' => ini_get('opcache.enable') && function_exists('opcache_get_status') ? 'on' : 'off',
            'Storage' => $this->store->label(),
            'Entries' => (string) $this->store->count(),
        ]]));
    }

    private function api(Request $request): Response
    {
        $page = new Page($this->store, $request->queryNumber('page', 1));
        if (!$page->exists()) {
            return Response::json(['error' => "page must be a number from 1 to $page->last"], 404);
        }
        return Response::json([
            'page' => $page->number,
            'pages' => $page->last,
            'total' => $page->total,
            'entries' => array_map(static fn(Entry $entry): array => $entry->toPublic(), $page->entries),
        ]);
    }

    private function session(Request $request): Session
    {
        return new Session("$this->data/sessions", $request->https);
    }

    private function notFound(): Response
    {
        return $this->problem(404, 'No such page', 'Nothing is written at this address.');
    }

    private function problem(int $status, string $title, string $text): Response
    {
        $data = ['status' => $status, 'title' => $title, 'text' => $text];
        return Response::html($this->view->page('problem', $title, $data), $status);
    }
}
