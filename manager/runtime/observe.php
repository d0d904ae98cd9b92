<?php
// Runs behind every script of a pool whose requests are measured (auto_append_file).
@INCLUDE@
error_log('@TOKEN@=' . memory_get_peak_usage(true) . ';', 4);
