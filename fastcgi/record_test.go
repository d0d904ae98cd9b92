package fastcgi

import (
	"bytes"
	"strings"
	"testing"
)

func TestAppendRecordGivesTheBytesOfTheSpecification(t *testing.T) {
	tests := []struct {
		name    string
		t       RecordType
		id      uint16
		content string
		want    string
	}{
		{"empty", TypeStdin, 1, "", "\x01\x05\x00\x01\x00\x00\x00\x00"},
		{"short", TypeStdout, 1, "hi", "\x01\x06\x00\x01\x00\x02\x00\x00hi"},
		{"id of two bytes", TypeStderr, 0x1234, "x", "\x01\x07\x12\x34\x00\x01\x00\x00x"},
		{"length of two bytes", TypeParams, 1, strings.Repeat("p", 300), "\x01\x04\x00\x01\x01\x2c\x00\x00" + strings.Repeat("p", 300)},
		{"longest", TypeData, 1, strings.Repeat("d", MaxContent), "\x01\x08\x00\x01\xff\xff\x00\x00" + strings.Repeat("d", MaxContent)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := AppendRecord([]byte("before"), tt.t, tt.id, []byte(tt.content))
			if string(got) != "before"+tt.want {
				t.Fatalf("got %q", got)
			}
			h, content, err := readRecord(bytes.NewReader(got[len("before"):]))
			if err != nil || RecordType(h[1]) != tt.t || string(content) != tt.content {
				t.Errorf("decoded %v %q %v", h, content, err)
			}
		})
	}
}

func TestAppendRecordRefusesContentLongerThanARecord(t *testing.T) {
	defer func() {
		if r, _ := recover().(string); !strings.HasPrefix(r, "internal error:") {
			t.Errorf("recovered %q", r)
		}
	}()
	AppendRecord(nil, TypeStdin, 1, make([]byte, MaxContent+1))
}

func TestAppendStreamCutsAnywhereAndLosesNothing(t *testing.T) {
	for _, n := range []int{0, 1, MaxContent - 1, MaxContent, MaxContent + 1, 2*MaxContent + 7, 1 << 20} {
		content := make([]byte, n)
		for i := range content {
			content[i] = byte(i * 7)
		}
		r := bytes.NewReader(AppendStream(nil, TypeParams, 9, content))
		var got []byte
		for r.Len() > 0 {
			h, part, err := readRecord(r)
			if err != nil {
				t.Fatal(err)
			}
			if RecordType(h[1]) != TypeParams || h[3] != 9 || len(part) == 0 {
				t.Fatalf("length %d: record %v", n, h)
			}
			got = append(got, part...)
		}
		if !bytes.Equal(got, content) {
			t.Errorf("length %d: content changed", n)
		}
	}
}

func TestRecordTypeNamesAreThoseOfTheSpecification(t *testing.T) {
	for typ, want := range map[RecordType]string{TypeEndRequest: "END_REQUEST", TypeUnknownType: "UNKNOWN_TYPE", 0: "type 0", 200: "type above 11"} {
		if typ.String() != want {
			t.Errorf("%d: got %q, want %q", typ, typ, want)
		}
	}
}
