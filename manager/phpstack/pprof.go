package phpstack

import (
	"fmt"
	"io"

	"github.com/google/pprof/profile"
)

// WritePprof writes the profile as a compressed protocol buffer, which `go tool pprof` and most profile viewers open: the number of
// samples and the time they stand for, by function and line, with the pool as a label.
func (p *Profile) WritePprof(w io.Writer) error {
	kind := "wall"
	if p.OnCPU {
		kind = "cpu"
	}
	out := &profile.Profile{
		SampleType:        []*profile.ValueType{{Type: "samples", Unit: "count"}, {Type: kind, Unit: "nanoseconds"}},
		PeriodType:        &profile.ValueType{Type: kind, Unit: "nanoseconds"},
		Period:            p.Period.Nanoseconds(),
		TimeNanos:         p.Start.UnixNano(),
		DurationNanos:     p.Duration.Nanoseconds(),
		DefaultSampleType: kind,
	}
	b := builder{out: out, functions: map[[2]string]*profile.Function{}, locations: map[place]*profile.Location{}}
	for _, s := range p.sorted() {
		v := &profile.Sample{Value: []int64{int64(s.count), int64(s.count) * p.Period.Nanoseconds()}}
		if s.pool != "" {
			v.Label = map[string][]string{"pool": {printable(s.pool)}}
		}
		for i := range s.frames {
			v.Location = append(v.Location, b.location(s.frames[len(s.frames)-1-i]))
		}
		out.Sample = append(out.Sample, v)
	}
	if err := out.CheckValid(); err != nil {
		return fmt.Errorf("cannot write the profile: %v", err)
	}
	return out.Write(w)
}

// builder numbers the functions and locations of a profile.
type builder struct {
	out       *profile.Profile
	functions map[[2]string]*profile.Function
	locations map[place]*profile.Location
}

// place is a line of a function.
type place struct {
	function *profile.Function
	line     int
}

func (b *builder) location(f Frame) *profile.Location {
	name := [2]string{printable(f.label()), printable(f.File)}
	function := b.functions[name]
	if function == nil {
		function = &profile.Function{
			ID: uint64(len(b.functions) + 1), Name: name[0], SystemName: name[0], Filename: name[1],
		}
		b.functions[name] = function
		b.out.Function = append(b.out.Function, function)
	}
	at := place{function, f.Line}
	location := b.locations[at]
	if location == nil {
		location = &profile.Location{
			ID: uint64(len(b.locations) + 1), Line: []profile.Line{{Function: function, Line: int64(f.Line)}},
		}
		b.locations[at] = location
		b.out.Location = append(b.out.Location, location)
	}
	return location
}
