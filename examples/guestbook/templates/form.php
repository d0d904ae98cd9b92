<?php
$about = static function (string $field) use ($errors, $e): string {
    return isset($errors[$field]) ? 'aria-invalid="true" aria-describedby="' . $e($field) . '-error"' : '';
};
$problem = static function (string $field) use ($errors, $e): string {
    return isset($errors[$field]) ? '<p class="error" id="' . $e($field) . '-error">' . $e($errors[$field]) . '</p>' : '';
};
?>
<form class="card" action="/" method="post" enctype="multipart/form-data">
  <h1>Sign the guestbook</h1>
  <input type="hidden" name="token" value="<?= $e($token) ?>">
  <p>
    <label for="name">Name</label>
    <input id="name" name="name" value="<?= $e($name) ?>" maxlength="60" required autocomplete="name" <?= $about('name') ?>>
  </p>
  <?= $problem('name') ?>
  <p>
    <label for="message">Message</label>
    <textarea id="message" name="message" rows="4" maxlength="2000" required <?= $about('message') ?>>
<?= $e($message) ?></textarea>
  </p>
  <?= $problem('message') ?>
  <p class="last">
    <span>
      <label for="image">Image <small>optional, up to 2 MB</small></label>
      <input id="image" name="image" type="file" accept="image/jpeg,image/png,image/gif,image/webp" <?= $about('image') ?>>
    </span>
    <button>Sign</button>
  </p>
  <?= $problem('image') ?>
</form>
