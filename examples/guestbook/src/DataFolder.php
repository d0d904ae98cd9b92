<?php

declare(strict_types=1);

namespace Guestbook;

use RuntimeException;

/** Finds a private folder for entries and uploads. */
final class DataFolder
{
    /** The app's own data folder, or one of this user's in the system's temporary folder. */
    public static function locate(string $preferred): string
    {
        if (is_dir($preferred) && is_writable($preferred)) {
            return $preferred;
        }
        $user = function_exists('posix_geteuid') ? posix_geteuid() : getmyuid();
        $folder = sys_get_temp_dir() . '/guestbook-' . $user;
        // Two workers may come here at once; whoever is late finds the folder made.
        if (!@mkdir($folder, 0700) && !self::isPrivate($folder)) {
            throw new RuntimeException("cannot use $folder: it is not a folder of this user alone");
        }
        return $folder;
    }

    /** Anybody may make a folder of that name in /tmp: trust it only if it is nobody else's. */
    private static function isPrivate(string $folder): bool
    {
        if (is_link($folder) || !is_dir($folder) || !is_writable($folder)) {
            return false;
        }
        if (DIRECTORY_SEPARATOR === '\\') {
            return true; // the temporary folder itself is the user's own
        }
        $ours = !function_exists('posix_geteuid') || fileowner($folder) === posix_geteuid();
        return $ours && (fileperms($folder) & 0077) === 0;
    }
}
