<?php
// The first request on every connection that phpserve opens: which worker is at the other end?
echo 'phpserve-worker:', getmypid(), ';';
