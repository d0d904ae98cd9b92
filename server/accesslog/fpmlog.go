package accesslog

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/phpserve/phpserve/linelog"
	"github.com/phpserve/phpserve/safefile"
)

// FPMConfig is the access log of a FastCGI address, as php-fpm has it.
type FPMConfig struct {
	// File is access.log. Empty: none.
	File string
	// Format is access.format. Empty: that of php-fpm, `%R - %u %t "%m %r" %s`.
	Format string
	// SuppressPath is access.suppress_path[]: no line for a successful GET or HEAD of these, without query and body.
	SuppressPath []string
	// Limit is log_limit, the longest line in bytes. Zero: 1024.
	Limit int
}

// FPMLog writes the access log of a FastCGI address.
type FPMLog struct {
	cfg    FPMConfig
	format *Format
	out    *linelog.Writer
}

// OpenFPM opens the log; nil if there is none.
func OpenFPM(pool string, cfg FPMConfig, log *slog.Logger) (*FPMLog, error) {
	if cfg.File == "" {
		return nil, nil
	}
	if cfg.Format == "" {
		cfg.Format = defaultFPMFormat
	}
	if cfg.Limit <= 0 {
		cfg.Limit = 1024
	}
	format, err := ParseFormat(cfg.Format)
	if err != nil {
		return nil, fmt.Errorf("[pool %s] %w", pool, err)
	}
	l := &FPMLog{cfg: cfg, format: format}
	f, err := l.open()
	if err != nil {
		return nil, fmt.Errorf("[pool %s] %w", pool, err)
	}
	lines := linelog.Config{Limit: waitingLimit}
	tellTrouble(&lines, log.With("pool", pool), cfg.File)
	l.out = linelog.New(f, lines)
	return l, nil
}

func (l *FPMLog) open() (*os.File, error) {
	f, err := safefile.OpenAppend(l.cfg.File, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot open access.log: %w", err)
	}
	return f, nil
}

// Reopen opens the file again, which logrotate may have renamed. When that fails, the old one stays.
func (l *FPMLog) Reopen() error {
	if l == nil {
		return nil
	}
	f, err := l.open()
	if err != nil {
		return err
	}
	l.out.Replace(f)
	return nil
}

// Close writes what is left and closes the file; lines that come later are lost.
func (l *FPMLog) Close() error {
	if l == nil {
		return nil
	}
	return l.out.Close()
}

// Write adds the line of a request.
func (l *FPMLog) Write(r *FPMRecord) {
	if suppressed(l.cfg.SuppressPath, r) {
		return
	}
	b := lineBuffers.Get().(*[]byte)
	defer lineBuffers.Put(b)
	*b = l.format.appendLine((*b)[:0], r, l.cfg.Limit)
	if len(*b) > 0 {
		_, _ = l.out.Write(*b) // it never fails
	}
}

// NeedsCPU says whether lines tell of processor time.
func (l *FPMLog) NeedsCPU() bool { return l != nil && l.format.cpu }
