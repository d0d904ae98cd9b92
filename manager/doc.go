// Package manager starts, owns and ends the PHP worker processes of phpserve.
//
// A [Pool] hands out one [Worker] per request. Every worker is a stock php-cgi process with exactly one kept-alive
// connection to phpserve, so that phpserve, not the kernel, decides which worker runs which request; idle workers are
// taken last-in first-out, which keeps the used ones warm.
//
// Two engines make the processes. The zygote engine starts one php-cgi per pool, whose only request is an embedded
// script (runtime/zygote.php) that forks the workers: they share one opcache. The spawn engine, for a PHP without pcntl
// and posix, starts one php-cgi per worker. Nothing above the engine interface knows which one runs.
//
// The states of a worker, changed only by Worker.transition:
//
//	            greeted              Acquire
//	starting ─────────────▶ idle ◀───────────▶ busy
//	    │                     │ ▲  Release       │
//	    │                     │ │ greeted again  │ Release(Aborted): connection closed, script may go on
//	    │                     │ └── detached ◀───┤
//	    │                     │         │        │ Release(Broken), Kill
//	    │                     ▼         │        ▼
//	    │                  stopping ◀───┴───── killed
//	    ▼                     ▼                  ▼
//	    └──────────────────▶ dead ◀──────────────┘   (the engine reported the exit)
//
// The whole list, with the ends that can come at any time:
//
//	starting ▶ idle, stopping, killed, dead
//	idle ▶ busy, stopping, killed, dead
//	busy ▶ idle, detached, stopping, killed, dead
//	detached ▶ idle, stopping, killed, dead
//	stopping ▶ killed, dead
//	killed ▶ dead
//
// The package knows neither HTTP nor FastCGI: a [Dialer], given by package server, speaks to php-cgi.
package manager
