package leaktest

import (
	"net"
	"testing"
)

// A test that opens nothing: what Check costs it.
func BenchmarkCheck(b *testing.B) { benchmarkCheck(b) }

// The same in a process that holds 10,000 connections.
func BenchmarkCheck10000(b *testing.B) {
	l := listen(b, "127.0.0.1:0")
	for range 5000 {
		ends(b, &net.Dialer{}, l)
	}
	benchmarkCheck(b)
}

func benchmarkCheck(b *testing.B) {
	for b.Loop() {
		r := &recorder{name: b.Name()}
		Check(r)
		r.end()
		if len(r.errors)+len(r.logs) > 0 {
			b.Fatal(r.errors, r.logs)
		}
	}
}
