<?php use Guestbook\Text; ?>
<article class="card entry">
  <header>
    <span class="avatar hue-<?= crc32($entry->name) % 6 ?>" aria-hidden="true"><?= $e(Text::initial($entry->name)) ?></span>
    <h3><bdi><?= $e($entry->name) ?></bdi></h3>
    <a href="/entry/<?= $entry->id ?>"><time datetime="<?= $e(gmdate('c', $entry->created)) ?>"><?= $e(date('j F Y, H:i', $entry->created)) ?></time></a>
  </header>
  <p class="message" dir="auto"><?= $e($entry->message) ?></p>
  <?php if ($entry->image !== ''): ?>
  <a class="image" href="/image/<?= $entry->id ?>"><img src="/image/<?= $entry->id ?>" alt="Image from <?= $e($entry->name) ?>" loading="lazy"></a>
  <?php endif ?>
</article>
