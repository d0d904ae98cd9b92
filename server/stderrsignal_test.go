package server

import "testing"

func TestSignalsAreTakenOutOfTheMessages(t *testing.T) {
	t.Parallel()
	const token = "phpserve-finish-0123"
	for _, tt := range []struct {
		in, messages string
		finish       bool
		peak         uint64
	}{
		{"PHP Warning: x\n", "PHP Warning: x\n", false, 0},
		{token + "\n", "", true, 0},
		{token + "=2097152;\n", "", false, 2097152},
		{"a\n" + token + "\nb\n" + token + "=7;\nc\n", "a\nb\nc\n", true, 7},
		{token + "=;\n", "=;\n", true, 0},
		{token + "=99999999999999999999;" + token + "=-1;" + token + "=x;", "", false, 0},
		{"", "", false, 0},
	} {
		messages, s := takeSignals([]byte(tt.in), []byte(token))
		if string(messages) != tt.messages || s.finish != tt.finish || s.peak != tt.peak {
			t.Errorf("%q: got %q, %+v", tt.in, messages, s)
		}
	}
}
