package phpstack

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
)

// Reader knows one PHP binary. It may be used by several goroutines.
type Reader struct {
	path     string
	file     fs.FileInfo // of the binary as it was opened; the path may since lead to another one
	layout   layout
	executor uint64 // executor_globals, as in the file
	size     uint64 // its size
	sapi     uint64 // sapi_globals, as in the file
	fixed    bool   // not position-independent: addresses are those of the file
	segments []segment
}

// segment is a PT_LOAD of the binary: what is needed to tell from a mapping how far the kernel has moved it.
type segment struct{ offset, address uint64 }

// Open reads the binary at path: php-cgi, php-fpm or php, not thread-safe, 64-bit, for x86-64 or arm64, PHP 7.4 to 8.5. The globals are
// found in its dynamic symbols, which also a stripped binary has. Any other binary is an error.
func Open(path string) (*Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the PHP binary: %w", err)
	}
	defer f.Close()
	r := &Reader{path: path}
	if r.file, err = f.Stat(); err != nil {
		return nil, fmt.Errorf("cannot read the PHP binary: %w", err)
	}
	if err := r.load(f); err != nil {
		return nil, fmt.Errorf("%q: %w", path, err)
	}
	return r, nil
}

// Version is the branch of the PHP binary, such as "8.2".
func (r *Reader) Version() string { return r.layout.version }

// Path is the binary's path as it was given to Open.
func (r *Reader) Path() string { return r.path }

// load fills in all that the file tells.
func (r *Reader) load(f *os.File) error {
	file, err := elf.NewFile(f)
	if err != nil {
		return fmt.Errorf("cannot read stacks of a binary that is not an ELF file: %v", err)
	}
	if file.Class != elf.ELFCLASS64 || file.Data != elf.ELFDATA2LSB ||
		(file.Machine != elf.EM_X86_64 && file.Machine != elf.EM_AARCH64) {
		return fmt.Errorf("cannot read stacks of a binary for %v %v: known are 64-bit x86-64 and arm64", file.Machine, file.Class)
	}
	r.fixed = file.Type == elf.ET_EXEC
	for _, p := range file.Progs {
		if p.Type == elf.PT_LOAD {
			r.segments = append(r.segments, segment{p.Off, p.Vaddr})
		}
	}
	symbols, err := file.DynamicSymbols()
	if err != nil {
		return fmt.Errorf("cannot find executor_globals: the binary has no dynamic symbols: %v", err)
	}
	for _, s := range symbols {
		switch {
		case s.Section == elf.SHN_UNDEF:
		case s.Name == "executor_globals":
			r.executor, r.size = s.Value, s.Size
		case s.Name == "sapi_globals":
			r.sapi = s.Value
		}
	}
	if r.executor == 0 || r.sapi == 0 {
		return errors.New("cannot find executor_globals and sapi_globals among the dynamic symbols: " +
			"this is not a PHP with the engine in its binary, or a thread-safe one")
	}
	build, err := findBuildID(file)
	if err != nil {
		return err
	}
	r.layout, err = layoutFor(build, r.size)
	return err
}

// buildID is what ZEND_MODULE_BUILD_ID says (Zend/zend_modules.h, Zend/zend_build.h).
type buildID struct {
	api               string
	threadSafe, debug bool
}

// findBuildID looks for "API20220829,NTS" among the constants of the binary. Zend extensions' ids have one digit more in front.
func findBuildID(file *elf.File) (buildID, error) {
	pattern := regexp.MustCompile(`\x00API(20\d{6}),(N?TS)(,debug)?\x00`)
	for _, s := range file.Sections {
		if s.Type != elf.SHT_PROGBITS || s.Flags&elf.SHF_ALLOC == 0 || s.Flags&elf.SHF_EXECINSTR != 0 || s.Size > 64<<20 {
			continue
		}
		data, err := s.Data()
		if err != nil {
			return buildID{}, fmt.Errorf("cannot read section %s: %v", s.Name, err)
		}
		if m := pattern.FindSubmatch(data); m != nil {
			return buildID{string(m[1]), bytes.Equal(m[2], []byte("TS")), len(m[3]) > 0}, nil
		}
	}
	return buildID{}, errors.New("cannot tell the PHP version: the binary holds no module build id")
}
