package main

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	// cpuTarget is how long the CPU-bound script shall run.
	cpuTarget = 5 * time.Millisecond
	// calibrationLoops is the loop count whose time is taken to reach it.
	calibrationLoops = 20000
	// largeSize is the body of the large script.
	largeSize = 100 << 10
)

// script is one measured page: what is asked for and what must come back.
type script struct {
	name string
	path string
	body string
}

const helloPHP = `<?php
echo "hello, world\n";
`

const largePHP = `<?php
echo str_repeat("0123456789abcdef", 6400);
`

// cpuPHP takes the loop count as %d. Each step needs the one before, so no
// optimizer can leave any out, and cpuBody can check the result.
const cpuPHP = `<?php
function chain(int $n): string
{
    $h = '';
    for ($i = 0; $i < $n; $i++) {
        $h = md5($h . $i);
    }
    return $h;
}
echo chain(%d), "\n";
`

// calibratePHP is run with php-cgi -q, after the functions of cpuPHP. The
// fastest of many runs is the one that was disturbed least.
const calibratePHP = `
$best = PHP_INT_MAX;
for ($run = 0; $run < 15; $run++) {
    $start = hrtime(true);
    chain(%d);
    $best = min($best, hrtime(true) - $start);
}
echo $best, "\n";
`

// indexPHP reports what must be the same on all sides.
const indexPHP = `<?php
header('Content-Type: application/json');
$ini = [];
foreach (ini_get_all(null, false) as $name => $value) {
    if (str_starts_with($name, 'opcache.') || str_starts_with($name, 'realpath_cache_')
        || in_array($name, ['auto_globals_jit', 'default_charset', 'expose_php', 'implicit_flush', 'max_execution_time',
            'memory_limit', 'output_buffering', 'request_order', 'variables_order', 'zend.assertions', 'zlib.output_compression'])) {
        $ini[$name] = (string) $value;
    }
}
$cached = [];
foreach (glob(__DIR__ . '/*.php') as $file) {
    $cached[basename($file)] = function_exists('opcache_is_script_cached') && opcache_is_script_cached($file);
}
echo json_encode(['version' => PHP_VERSION, 'sapi' => PHP_SAPI, 'ini' => $ini, 'cached' => $cached]);
`

// cpuBody is what cpuPHP prints for a loop count, reckoned independently.
func cpuBody(loops int) string {
	var h string
	for i := range loops {
		sum := md5.Sum([]byte(h + strconv.Itoa(i)))
		h = hex.EncodeToString(sum[:])
	}
	return h + "\n"
}

// loopsFor returns the loop count for target when calibrationLoops took took,
// to two digits: more would only pretend.
func loopsFor(took, target time.Duration) int {
	loops := float64(calibrationLoops) * float64(target) / float64(took)
	unit := math.Pow(10, math.Max(0, math.Floor(math.Log10(loops))-1))
	return int(math.Max(1, math.Round(loops/unit)*unit))
}

// calibrate finds the loop count of the CPU-bound script with php-cgi.
func calibrate(ctx context.Context, phpCGI, dir string) (int, error) {
	path := filepath.Join(dir, "calibrate.php")
	code := fmt.Sprintf(cpuPHP, 1) + fmt.Sprintf(calibratePHP, calibrationLoops)
	if err := os.WriteFile(path, []byte(code), 0o644); err != nil {
		return 0, fmt.Errorf("cannot write the calibration script: %v", err)
	}
	cmd := exec.CommandContext(ctx, phpCGI, "-q", "-d", "max_execution_time=60", "-f", path)
	setChildAttributes(cmd)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("cannot run the calibration script: %v: %s", err, stderr.Bytes())
	}
	lines := strings.Fields(string(out))
	if len(lines) != 2 {
		return 0, fmt.Errorf("cannot calibrate the CPU-bound script: php-cgi printed %q", out)
	}
	ns, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || ns <= 0 {
		return 0, fmt.Errorf("cannot calibrate the CPU-bound script: php-cgi printed %q", out)
	}
	return loopsFor(time.Duration(ns), cpuTarget), nil
}

// writeSite writes the document root and returns the scripts by name.
func writeSite(root string, loops int) (map[string]script, error) {
	if err := os.Mkdir(root, 0o755); err != nil {
		return nil, fmt.Errorf("cannot make the document root: %v", err)
	}
	files := map[string]string{
		"index.php": indexPHP,
		"hello.php": helloPHP,
		"cpu.php":   fmt.Sprintf(cpuPHP, loops),
		"large.php": largePHP,
	}
	// opcache leaves files alone that changed in the last two seconds
	// (opcache.file_update_protection).
	old := time.Now().Add(-time.Hour)
	for name, code := range files {
		path := filepath.Join(root, name)
		if err := os.WriteFile(path, []byte(code), 0o644); err != nil {
			return nil, fmt.Errorf("cannot write a script: %v", err)
		}
		if err := os.Chtimes(path, old, old); err != nil {
			return nil, fmt.Errorf("cannot date a script back: %v", err)
		}
	}
	return map[string]script{
		scriptHello: {name: scriptHello, path: "/hello.php", body: "hello, world\n"},
		scriptCPU:   {name: scriptCPU, path: "/cpu.php", body: cpuBody(loops)},
		scriptLarge: {name: scriptLarge, path: "/large.php", body: strings.Repeat("0123456789abcdef", largeSize/16)},
	}, nil
}
