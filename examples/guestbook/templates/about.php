<section class="card">
  <h1>About this guestbook</h1>
  <p>A small PHP application without dependencies: one front controller, pretty URLs, sessions, uploads, and SQLite or a flat file for the entries. This request was answered by:</p>
  <dl>
    <?php foreach ($facts as $name => $value): ?>
    <div><dt><?= $e($name) ?></dt><dd><?= $e($value) ?></dd></div>
    <?php endforeach ?>
  </dl>
</section>
