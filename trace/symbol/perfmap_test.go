package symbol

import (
	"fmt"
	"strings"
	"testing"
)

func TestParsePerfMap(t *testing.T) {
	// Lines of V8 (node --perf-basic-prof), a JVM (jcmd PID Compiler.perfmap),
	// CPython 3.12 (-X perf) and .NET.
	m := parsePerfMap(strings.NewReader(`7f0000001000 100 JS:*leak /app/index.js:7:14
7f0000001100 40 LazyCompile:~ file:///app/x.mjs:1:1
7f0000001140 40 Builtin:ArrayPrototypeMap
7f0000002000 80 java.net.Socket::connect
7f0000003000 b py::Pool.get:/app/pool.py
0x7f0000004000 0x20 [Optimized] int32 App::Main(string[])
garbage
7f0000005000 zz name
7f0000005000 0 empty
7f0000006000 10 first
7f0000006000 10 second
ffffffffffffffff ff beyond
7f0000007000 10 JS:+send C:\app\a.js:12:3
7f0000008000 10 _ZN3net4PoolIiE3getEi
7f0000009000 10 last line without an end`))
	for a, want := range map[uint64]string{
		0x7f0000001000: "leak /app/index.js:7",
		0x7f00000010ff: "leak /app/index.js:7",
		0x7f0000001100: "(anonymous) /app/x.mjs:1",
		0x7f0000001150: "Builtin:ArrayPrototypeMap :0",
		0x7f0000002000: "java.net.Socket::connect :0",
		0x7f0000003005: "Pool.get /app/pool.py:0",
		0x7f000000300b: "none",
		0x7f0000004010: "[Optimized] int32 App::Main(string[]) :0",
		0x7f0000005000: "none",
		0x7f0000006008: "second :0",
		0x7f0000007000: `send C:\app\a.js:12`,
		0x7f0000008000: "net::Pool<int>::get :0",
		0x7f0000009001: "last line without an end :0",
		0x7effffffffff: "none",
		^uint64(0):     "none",
	} {
		got := "none"
		if p, ok := m.find(a); ok {
			got = fmt.Sprintf("%s %s:%d", p.symbol, p.file, p.line)
		}
		if got != want {
			t.Errorf("%#x is %s, want %s", a, got, want)
		}
	}
}

func TestPerfMapLongLine(t *testing.T) {
	m := parsePerfMap(strings.NewReader("1000 10 " + strings.Repeat("x", 1<<20) + "\n2000 10 short\n"))
	if p, ok := m.find(0x2001); len(m.functions) != 1 || !ok || p.symbol != "short" {
		t.Errorf("%d functions, %+v", len(m.functions), p)
	}
}

func FuzzPerfMap(f *testing.F) {
	f.Add("7f0000001000 100 JS:*leak /app/index.js:7:14\n7f0000003000 b py::Pool.get:/app/pool.py\n")
	f.Fuzz(func(t *testing.T, text string) {
		m := parsePerfMap(strings.NewReader(text))
		for _, c := range m.functions {
			if c.low >= c.high {
				t.Errorf("%+v", c)
			}
			if p, ok := m.find(c.low); len(m.functions) < 64 && (!ok || len(p.symbol) > maxName+3) {
				t.Errorf("%+v gives %+v, %v", c, p, ok)
			}
		}
	})
}
