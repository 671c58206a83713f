package symbol

import (
	"slices"
	"strings"
	"testing"
)

// fakeCode has functions of 0x100 bytes: 0x10000 is a, 0x10100 is b and so on. A return
// address is in code where calls names it, with what it calls: "-" for through a pointer.
type fakeCode struct {
	calls map[uint64]string
	tails map[string]string // function that jumps to another
}

func (f fakeCode) name(a uint64) string {
	if a < 0x10000 || a >= 0x10000+26*0x100 {
		return ""
	}
	return string(rune('a' + (a-0x10000)/0x100))
}

func begin(name string) uint64 { return 0x10000 + 0x100*uint64(name[0]-'a') }

func (f fakeCode) call(ret uint64) (uint64, bool) {
	to, ok := f.calls[ret]
	if !ok || to == "-" {
		return 0, ok
	}
	return begin(to), true
}

func (f fakeCode) function(a uint64) uint64 {
	if n := f.name(a); n != "" && n != "s" { // s was stripped
		return begin(n)
	}
	return 0
}

func (f fakeCode) jumps(from, to uint64) bool { return f.tails[f.name(from)] == f.name(to) }
func (f fakeCode) outermost(a uint64) bool    { return f.name(a) == "z" }

func TestChain(t *testing.T) {
	// in is a return address in function of a call of to.
	calls := map[uint64]string{}
	in := func(function, to string) uint64 {
		a := begin(function) + 0x10
		for calls[a] != "" && calls[a] != to {
			a += 8
		}
		calls[a] = to
		return a
	}
	const data, stack = 0x12345678, 0x7ffc00000000
	ip := begin("a") + 8 // a is the C library's connect
	code := fakeCode{calls, map[string]string{"t": "a", "q": "r"}}

	for name, test := range map[string]struct {
		addresses, words []uint64
		want             string
	}{
		"frame pointers alone":               {[]uint64{ip, in("b", "a"), in("m", "b")}, nil, "a b m"},
		"what the library hid":               {[]uint64{ip, in("c", "b"), in("m", "c")}, []uint64{data, in("b", "a"), stack, in("c", "b"), in("m", "c")}, "a b? c m"},
		"no frame pointers":                  {[]uint64{ip}, []uint64{data, in("b", "a"), 0, in("c", "b"), 7, in("m", "c"), in("z", "m")}, "a b? c? m? z?"},
		"nothing beyond the outermost":       {[]uint64{ip}, []uint64{in("z", "a"), in("m", "-")}, "a z?"},
		"an old word before the caller":      {[]uint64{ip}, []uint64{in("x", "y"), in("b", "a"), in("z", "b")}, "a b? z?"},
		"an old word between":                {[]uint64{ip}, []uint64{in("b", "a"), in("x", "a"), in("c", "b"), in("z", "c")}, "a b? c? z?"},
		"an old one at the end":              {[]uint64{ip}, []uint64{in("b", "a"), in("x", "y")}, "a b?"},
		"through a pointer":                  {[]uint64{ip}, []uint64{in("b", "-"), in("c", "b"), in("z", "-")}, "a b? c? z?"},
		"old pointer call before the caller": {[]uint64{ip}, []uint64{in("x", "-"), in("b", "a"), in("z", "b")}, "a b? z?"},
		"a tail call":                        {[]uint64{ip}, []uint64{in("x", "y"), in("b", "t"), in("z", "b")}, "a b? z?"},
		"stripped callers":                   {[]uint64{ip}, []uint64{in("s", "a"), in("c", "d"), in("z", "c")}, "a s? c? z?"},
		"the pointer register held data":     {[]uint64{ip, data, in("m", "b")}, []uint64{in("b", "a"), in("m", "b")}, "a b? m?"},
		"beyond what was copied":             {[]uint64{ip, in("m", "c"), in("z", "m")}, []uint64{in("b", "a"), in("c", "b")}, "a b? c? m z"},
		"between two of frame pointers, sure": {
			[]uint64{ip, in("r", "a"), in("m", "p")}, []uint64{in("r", "a"), in("p", "q"), in("m", "p")}, "a r p? m"},
		"between two of frame pointers, old": {
			[]uint64{ip, in("r", "a"), in("m", "r")}, []uint64{in("r", "a"), in("x", "-"), in("p", "y"), in("m", "r")}, "a r m"},
		"cut front":       {[]uint64{0, 1 << 63, ip}, nil, "a"},
		"nothing":         {nil, []uint64{in("b", "a")}, ""},
		"nothing is left": {[]uint64{0}, nil, ""},
	} {
		var got []string
		for _, s := range chain(test.addresses, test.words, code) {
			n := code.name(s.ret)
			if s.likely {
				n += "?"
			}
			got = append(got, n)
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%s: got %v, want %s", name, got, test.want)
		}
	}
}

func TestChainBounded(t *testing.T) {
	code := fakeCode{calls: map[uint64]string{0x10010: "a"}}
	words := slices.Repeat([]uint64{0x10010}, 5000)
	if n := len(chain([]uint64{0x10008}, words, code)); n != maxSteps {
		t.Errorf("%d steps, want %d", n, maxSteps)
	}
	if n := len(chain(append([]uint64{0x10008}, words...), nil, code)); n > maxSteps+1 {
		t.Errorf("%d steps by frame pointers", n)
	}
}
