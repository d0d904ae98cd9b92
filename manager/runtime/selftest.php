<?php
// The tracer reads this script's stack before it reads any other: what it says must be right.

function phpserve_selftest(int $depth): void
{
    if ($depth > 0) {
        phpserve_selftest($depth - 1);
        return;
    }
    echo "waiting\n";
    flush();
    fgets(fopen('php://stdin', 'r'));
}

phpserve_selftest(1);
