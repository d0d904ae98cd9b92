package phpstack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/phpserve/phpserve/internal/patient"
)

const (
	fakeBase = 0x10000
	fakeSize = 1 << 16
)

// fakeMemory is 64 KiB of a process, and what happens between two looks at it.
type fakeMemory struct {
	data  []byte
	looks int
	next  func(looks int, data []byte)
}

func (m *fakeMemory) copy(pieces []piece) (int, error) {
	m.looks++
	for i, p := range pieces {
		if p.address < fakeBase || p.address-fakeBase > uint64(len(m.data)) ||
			uint64(len(m.data))-(p.address-fakeBase) < uint64(len(p.data)) {
			return i, nil
		}
		copy(p.data, m.data[p.address-fakeBase:])
		if m.next != nil {
			m.next(m.looks, m.data)
		}
	}
	return len(pieces), nil
}

func (m *fakeMemory) put64(at, v uint64) { binary.LittleEndian.PutUint64(m.data[at-fakeBase:], v) }
func (m *fakeMemory) put32(at uint64, v uint32) {
	binary.LittleEndian.PutUint32(m.data[at-fakeBase:], v)
}

// Where things are in the fake process.
const (
	fakeExecutor = fakeBase + 0x100
	fakeFrames   = fakeBase + 0x4000
	fakeThings   = fakeBase + 0x8000
)

// newFake builds a process with a main script that calls Repo::find, which calls strlen.
func newFake(l layout) *fakeMemory {
	m := &fakeMemory{data: make([]byte, fakeSize)}
	free := uint64(fakeThings)
	alloc := func(n uint64) uint64 {
		at := free
		free += (n + 15) &^ 15
		return at
	}
	text := func(s string) uint64 {
		at := alloc(strVal + uint64(len(s)) + 1)
		m.put32(at+gcTypeInfo, typeString)
		m.put64(at+strLen, uint64(len(s)))
		copy(m.data[at-fakeBase+strVal:], s)
		return at
	}
	class := alloc(64)
	m.data[class-fakeBase] = functionUser
	m.put64(class+ceName, text("Repo"))
	function := func(kind byte, name string, scope uint64, line uint32) (f, opline uint64) {
		f, opline = alloc(256), alloc(opSize*4)
		m.data[f-fakeBase] = kind
		if name != "" {
			m.put64(f+fnName, text(name))
		}
		m.put64(f+fnScope, scope)
		if kind != functionInternal {
			m.put64(f+l.filename, text("/srv/main.php"))
			m.put32(f+l.lineStart, 1)
			m.put32(f+l.lineStart+4, 99)
			m.put64(f+l.opcodes, opline)
			m.put32(f+l.last, 4)
		}
		m.put32(opline+opSize+opLineno, line)
		return f, opline + opSize
	}
	previous := uint64(0)
	for i, c := range []struct {
		kind  byte
		name  string
		scope uint64
		info  uint32
	}{{functionUser, "", 0, callCode | callTop}, {functionUser, "find", class, 0}, {functionInternal, "strlen", 0, 0}} {
		at := fakeFrames + uint64(i)*0x80
		f, opline := function(c.kind, c.name, c.scope, uint32(10+i))
		m.put64(at+exOpline, opline)
		m.put64(at+exFunc, f)
		m.put32(at+exTypeInfo, c.info)
		m.put64(at+exPrev, previous)
		previous = at
	}
	m.put64(fakeExecutor+l.current, previous)
	return m
}

func (m *fakeMemory) decoder(l layout) *decoder {
	return &decoder{m, l, fakeExecutor, l.sizes[0], time.Now().Add(patience), nil}
}

func names(frames []Frame) string {
	var all []string
	for _, f := range frames {
		all = append(all, fmt.Sprintf("%s:%d", f.Name(), f.Line))
	}
	return strings.Join(all, " ")
}

func TestEachKnownLayoutIsRead(t *testing.T) {
	for api, l := range layouts() {
		t.Run(l.version, func(t *testing.T) {
			chosen, err := layoutFor(buildID{api: api}, l.sizes[0])
			if err != nil || chosen != l {
				t.Fatalf("the layout for API %s is %+v, %v", api, chosen, err)
			}
			s, err := newFake(l).decoder(l).stack(20, true)
			if err != nil {
				t.Fatal(err)
			}
			if got := names(s.Frames); got != "strlen:0 Repo::find:11 {main}:10" || s.Truncated {
				t.Errorf("the stack is %s", got)
			}
			if s, err := newFake(l).decoder(l).stack(2, false); err != nil || len(s.Frames) != 2 || !s.Truncated {
				t.Errorf("two frames of it are %+v, %v", s, err)
			}
		})
	}
}

func TestAnUnknownPHPIsAnError(t *testing.T) {
	for _, c := range []struct {
		build buildID
		size  uint64
		want  string
	}{
		{buildID{api: "20180731"}, 1800, "module API 20180731"},
		{buildID{api: "20220829", threadSafe: true}, 1800, "thread-safe PHP 8.2"},
		{buildID{api: "20220829", debug: true}, 1800, "debug build of PHP 8.2"},
		{buildID{api: "20220829"}, 1664, "executor_globals has 1664 bytes"},
		{buildID{api: "20240924"}, 2400, "executor_globals has 2400 bytes"},
	} {
		if _, err := layoutFor(c.build, c.size); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v with %d bytes says %v, not %q", c.build, c.size, err, c.want)
		}
	}
}

func TestAStackThatChangesWhileItIsCopiedIsCopiedAgain(t *testing.T) {
	l := layouts()["20220829"]
	at := fakeExecutor + l.current - fakeBase
	for _, c := range []struct {
		name  string
		until int
		want  error
	}{{"for a while", 30, nil}, {"always", 1 << 30, errTorn}} {
		t.Run(c.name, func(t *testing.T) {
			m := newFake(l)
			old := binary.LittleEndian.Uint64(m.data[at:])
			flip := false
			m.next = func(looks int, data []byte) {
				if looks < c.until {
					flip = !flip
					v := old
					if flip {
						v = old - 0x80
					}
					binary.LittleEndian.PutUint64(data[at:], v)
				} else {
					binary.LittleEndian.PutUint64(data[at:], old)
				}
			}
			d := m.decoder(l)
			if c.want == nil {
				d.until = patient.LastMoment()
			}
			s, err := d.stack(20, false)
			if !errors.Is(err, c.want) {
				t.Fatalf("the error is %v, not %v", err, c.want)
			}
			if err == nil && names(s.Frames) != "strlen:0 Repo::find:11 {main}:10" {
				t.Errorf("the stack is %s", names(s.Frames))
			}
		})
	}
}

func TestAFunctionThatComesBackToTheSameAddressIsNotMixedUp(t *testing.T) {
	l := layouts()["20220829"]
	m := newFake(l)
	function := fakeFrames + 0x80 + exFunc - fakeBase
	old := slices.Clone(m.data[function:][:8])
	m.next = func(looks int, data []byte) {
		// The first copy of each of the first pairs sees another caller under the same innermost frame.
		if looks < 20 {
			data[function+1] ^= 1
		} else {
			copy(data[function:], old)
		}
	}
	d := m.decoder(l)
	d.until = patient.LastMoment()
	s, err := d.stack(20, false)
	if err != nil || names(s.Frames) != "strlen:0 Repo::find:11 {main}:10" {
		t.Errorf("the stack is %s, %v", names(s.Frames), err)
	}
}

func TestGarbageIsNeverAFrame(t *testing.T) {
	l := layouts()["20220829"]
	for name, spoil := range map[string]func(m *fakeMemory){
		"a loop":                  func(m *fakeMemory) { m.put64(fakeFrames+exPrev, fakeFrames+0x100) },
		"a frame nowhere":         func(m *fakeMemory) { m.put64(fakeFrames+0x80+exPrev, 1<<40) },
		"an odd address":          func(m *fakeMemory) { m.put64(fakeFrames+0x80+exPrev, fakeFrames+1) },
		"a function nowhere":      func(m *fakeMemory) { m.put64(fakeFrames+exFunc, 1<<40) },
		"no kind of function":     func(m *fakeMemory) { m.put64(fakeFrames+exFunc, fakeBase+0x2000) },
		"a name that is no text":  func(m *fakeMemory) { m.put64(m.function(1)+fnName, fakeFrames) },
		"a name nowhere":          func(m *fakeMemory) { m.put64(m.function(1)+fnName, 1<<40) },
		"a name without an end":   func(m *fakeMemory) { m.put64(m.name(1)+strLen, 3) },
		"a name of a gigabyte":    func(m *fakeMemory) { m.put64(m.name(1)+strLen, 1<<30) },
		"a name with a control":   func(m *fakeMemory) { m.data[m.name(1)+strVal-fakeBase] = '\n' },
		"a class that is none":    func(m *fakeMemory) { m.put64(m.function(1)+fnScope, fakeFrames) },
		"lines that run backward": func(m *fakeMemory) { m.put32(m.function(1)+l.lineStart, 100) },
		"a main script within":    func(m *fakeMemory) { m.put32(fakeFrames+exTypeInfo, callTop) },
	} {
		t.Run(name, func(t *testing.T) {
			m := newFake(l)
			spoil(m)
			if s, err := m.decoder(l).stack(20, true); !errors.Is(err, errTorn) {
				t.Errorf("the stack is %s, %v", names(s.Frames), err)
			}
		})
	}
	m := newFake(l)
	m.put64(fakeExecutor+l.current, 0)
	if s, err := m.decoder(l).stack(20, false); err != nil || len(s.Frames) != 0 {
		t.Errorf("a process between requests has %+v, %v", s, err)
	}
}

func (m *fakeMemory) function(frame uint64) uint64 {
	return u64(m.data, fakeFrames+frame*0x80+exFunc-fakeBase)
}

func (m *fakeMemory) name(frame uint64) uint64 { return u64(m.data, m.function(frame)+fnName-fakeBase) }

// FuzzStack spoils a good process: each ten bytes of patches are an offset and what is put there.
func FuzzStack(f *testing.F) {
	f.Add("20220829", []byte{})
	f.Add("20220829", []byte{0x98, 0x40, 0, 0x80, 1, 0, 0, 0, 0, 0})
	f.Add("20240924", []byte{0, 0x41, 0, 0, 0, 0, 0, 0, 0, 0x80})
	f.Fuzz(func(t *testing.T, api string, patches []byte) {
		l, ok := layouts()[api]
		if !ok {
			l = layouts()["20220829"]
		}
		m := newFake(l)
		at := uint16(0)
		for ; len(patches) >= 10; patches = patches[10:] {
			at = binary.LittleEndian.Uint16(patches)
			copy(m.data[at:], patches[2:10])
		}
		d := m.decoder(l)
		if _, err := d.path(fakeBase + uint64(at)); err != nil {
			t.Fatal(err)
		}
		// One look: this memory does not change, so that another one would show the same, until the time for it is over.
		s, _, err := d.once(20, true)
		if err != nil {
			if !errors.Is(err, errTorn) {
				t.Fatal(err)
			}
			return
		}
		if len(s.Frames) > 20 {
			t.Fatalf("%d frames", len(s.Frames))
		}
		for _, frame := range s.Frames {
			text := frame.Function + frame.Class + frame.File + frame.CallFile
			if strings.ContainsFunc(text, func(r rune) bool { return r < 0x20 || r == 0x7f }) || frame.Line < 0 || frame.Line > maxLine ||
				len(frame.Args) > maxArgs || len(frame.arguments()) > maxArgs*(maxName+maxName) {
				t.Fatalf("a garbage frame: %+v", frame)
			}
		}
		if err := WriteReport(&strings.Builder{}, Slow{Stack: s}); err != nil {
			t.Fatal(err)
		}
	})
}
