<?php use Guestbook\Page; ?>
<?php if ($flash !== ''): ?>
<p class="flash" role="status"><?= $e($flash) ?></p>
<?php endif ?>
<?php if ($page->number === 1): ?>
<?= $view->render('form', compact('token', 'errors', 'name', 'message')) ?>
<?php endif ?>

<h2><?= $page->total ?> <?= $page->total === 1 ? 'entry' : 'entries' ?></h2>
<?php if ($page->total === 0): ?>
<p class="empty">The book is still blank. Be the first to sign it.</p>
<?php endif ?>
<?php foreach ($page->entries as $entry): ?>
<?= $view->render('card', ['entry' => $entry]) ?>
<?php endforeach ?>

<?php if ($page->last > 1): ?>
<nav class="paging" aria-label="Pages of entries">
  <?php if ($page->number > 1): ?><a href="<?= $e(Page::url($page->number - 1)) ?>" rel="prev">&larr; Newer</a><?php endif ?>
  <span>Page <?= $page->number ?> of <?= $page->last ?></span>
  <?php if ($page->number < $page->last): ?><a href="<?= $e(Page::url($page->number + 1)) ?>" rel="next">Older &rarr;</a><?php endif ?>
</nav>
<?php endif ?>
