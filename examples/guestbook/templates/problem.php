<section class="card problem">
  <p class="status"><?= $e($status) ?></p>
  <h1><?= $e($title) ?></h1>
  <p><?= $e($text) ?></p>
  <p><a href="/">&larr; Back to the guestbook</a></p>
</section>
