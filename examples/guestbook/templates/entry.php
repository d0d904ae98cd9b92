<h1 class="small">Entry <?= $entry->id ?></h1>
<?= $view->render('card', ['entry' => $entry]) ?>
<p><a href="/">&larr; All entries</a></p>
