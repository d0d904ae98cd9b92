<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title><?= $e($title) ?></title>
  <link rel="icon" href="/favicon.svg" type="image/svg+xml">
  <link rel="stylesheet" href="/style.css">
</head>
<body>
  <header class="top">
    <div class="column">
      <a class="brand" href="/"><img src="/favicon.svg" alt="" width="34" height="34">Guestbook</a>
      <nav aria-label="Pages">
        <a href="/">Entries</a>
        <a href="/about">About</a>
        <a href="/api/entries">API</a>
      </nav>
    </div>
  </header>
  <main class="column">
<?= $content ?>
  </main>
  <footer class="column">
    PHP <?= $e(PHP_VERSION) ?> &middot; <?= $e(PHP_SAPI) ?> &middot;
    <?= number_format((microtime(true) - $_SERVER['REQUEST_TIME_FLOAT']) * 1000, 1) ?> ms
  </footer>
</body>
</html>
