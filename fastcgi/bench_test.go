package fastcgi

import (
	"io"
	"testing"
)

// BenchmarkRoundTripMemory is our own code alone: no system call, no scheduler.
func BenchmarkRoundTripMemory(b *testing.B) {
	wire := append(stdout("Content-type: text/html; charset=UTF-8\r\n\r\nHello"), end()...)
	c := counting(&memConn{in: wire, loop: true})
	benchmarkRoundTrip(b, c)
}

// BenchmarkRoundTripUnix has a scripted peer at the other end of a unix socket.
func BenchmarkRoundTripUnix(b *testing.B) {
	near, far := socketPair(b)
	wire := append(stdout("Content-type: text/html; charset=UTF-8\r\n\r\nHello"), end()...)
	want := len(beginKeep) + 8 + 900 + 8 + 8
	done := make(chan struct{})
	go func() {
		defer close(done)
		p := make([]byte, want)
		for {
			if _, err := io.ReadFull(far, p); err != nil {
				return
			}
			if _, err := far.Write(wire); err != nil {
				return
			}
		}
	}()
	c := counting(near)
	benchmarkRoundTrip(b, c)
	_ = c.Close()
	<-done
	_ = far.Close()
}

// BenchmarkLargeAnswer reads 1 MiB in php-cgi's record size.
func BenchmarkLargeAnswer(b *testing.B) {
	var wire []byte
	for range 16 {
		wire = append(wire, AppendRecord(nil, TypeStdout, 1, make([]byte, 65528))...)
	}
	c := counting(&memConn{in: append(wire, end()...), loop: true})
	b.SetBytes(int64(len(wire)))
	benchmarkRoundTrip(b, c)
}

func benchmarkRoundTrip(b *testing.B, c *Conn) {
	r := &Request{Params: make([]byte, 900), KeepConn: true}
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Send(r); err != nil {
			b.Fatal(err)
		}
		for {
			rec, err := c.Next()
			if err != nil {
				b.Fatal(err)
			}
			if rec.Type == TypeEndRequest {
				break
			}
		}
	}
}
