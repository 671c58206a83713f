package leaktest

import (
	"strings"
	"testing"
)

// The runtime's own trace of goroutines that are known.
func TestParseGoroutines(t *testing.T) {
	id := make(chan uint64)
	stop := make(chan bool)
	defer close(stop)
	for range 2 {
		go func() {
			id <- current()
			<-stop
		}()
	}
	a, b := <-id, <-id
	me := here()
	if me.id == 0 || me.id != current() || me.id == a {
		t.Fatalf("this goroutine is %d, or %d", me.id, current())
	}
	if n := len(me.frames); n == 0 || me.frames[n-1].Function != "testing.tRunner" || me.creator != "testing.(*T).Run" {
		t.Errorf("this goroutine: %+v", me)
	}
	found := 0
	for _, g := range everyone() {
		if g.id != a && g.id != b {
			continue
		}
		found++
		if g.parent != me.id || !strings.HasSuffix(g.creator, "leaktest.TestParseGoroutines") {
			t.Errorf("goroutine %d was started by %s in %d, want this test in %d", g.id, g.creator, g.parent, me.id)
		}
		last := g.frames[len(g.frames)-1]
		if !strings.HasSuffix(last.Function, "leaktest.TestParseGoroutines.func1") || !strings.HasSuffix(last.File, "/goroutine_test.go") || last.Line == 0 {
			t.Errorf("its outermost call is %+v", last)
		}
	}
	if found != 2 {
		t.Errorf("found %d of 2 goroutines", found)
	}
}

// Forms that this program's own trace does not have.
func TestParseGoroutinesForms(t *testing.T) {
	const text = `goroutine 7 gp=0xc000002380 m=nil [IO wait, 2 minutes, locked to thread]:
runtime.gopark(0xc00006fd40?, 0x0?, 0x0?, 0x0?, 0x0?)
	/go/src/runtime/proc.go:460 +0xce fp=0xc00006fd08 sp=0xc00006fce8 pc=0x47422e
internal/poll.runtime_pollWait(0x7f35c8a4b800, 0x72)
	/go/src/runtime/netpoll.go:351 +0x85 fp=0xc00006fd28 sp=0xc00006fd08 pc=0x4757c5
net/http.(*conn).serve(0xc00007e000, {0x7a3b60, 0xc00011c0f0})
	C:/go/src/net/http/server.go:2047 +0x5d4
...additional frames elided...
runtime.goexit({})
	/go/src/runtime/asm_amd64.s:1771 +0x1 fp=0xc00011ffe8 sp=0xc00011ffe0 pc=0x47b8c1
created by net/http.(*Server).Serve in goroutine 6
	/go/src/net/http/server.go:3454 +0x485
[originating from goroutine 6]:
main.serve(...)
	/tmp/x.go:20 +0x12
created by main.main
	/tmp/x.go:12 +0x1d

goroutine 8 [runnable]:
main.f[...](...)
	/tmp/x.go:3
created by main.main
	/tmp/x.go:9 +0x1d
[stack trace truncated]
goroutine x [running]:
`
	all := parseGoroutines([]byte(text))
	if len(all) != 2 {
		t.Fatalf("got %d goroutines, want 2: %+v", len(all), all)
	}
	a, b := all[0], all[1]
	if f := a.frames[0]; f.Function != "internal/poll.runtime_pollWait" || f.Line != 351 {
		t.Errorf("its first call: %+v", f)
	}
	if a.id != 7 || a.parent != 6 || a.creator != "net/http.(*Server).Serve" || a.desc != 0x7f35c8a4b800 || len(a.frames) != 2 {
		t.Errorf("first: %+v", a)
	}
	if f := a.frames[1]; f.Function != "net/http.(*conn).serve" || f.File != "C:/go/src/net/http/server.go" || f.Line != 2047 {
		t.Errorf("its second call: %+v", f)
	}
	if b.id != 8 || b.parent != 0 || b.creator != "main.main" || len(b.frames) != 1 || b.frames[0].Function != "main.f[...]" || b.frames[0].Line != 3 {
		t.Errorf("second: %+v", b)
	}
}

func FuzzGoroutines(f *testing.F) {
	text, _ := trace(nil, true)
	f.Add(text)
	f.Add([]byte("goroutine 1 [running]:\nf(\n\t:\ncreated by  in goroutine \n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, g := range parseGoroutines(text) {
			for _, frame := range g.frames {
				if frame.Function == "" || strings.ContainsAny(frame.Function, "\n") {
					t.Errorf("a call named %q", frame.Function)
				}
			}
		}
	})
}
