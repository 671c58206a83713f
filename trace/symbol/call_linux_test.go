package symbol

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// TestCallAMD64 reads a whole program that objdump(1) has taken apart: what it shows as
// a call is one, with that target.
func TestCallAMD64(t *testing.T) {
	program := build(t, "gcc", "-O2", "-static")
	out, err := exec.Command(kerneltest.Tool(t, "objdump"), "-d", "-w", program).Output()
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`^ *([0-9a-f]+):\t((?:[0-9a-f]{2} )+) *\t(.*)$`)
	direct := regexp.MustCompile(`^(?:bnd |notrack |addr32 )*call +([0-9a-f]+) `)
	calls, others, mistaken := 0, 0, 0
	for s := bufio.NewScanner(bytes.NewReader(out)); s.Scan(); {
		m := line.FindStringSubmatch(s.Text())
		if m == nil {
			continue
		}
		at, _ := strconv.ParseUint(m[1], 16, 64)
		code, _ := hex.DecodeString(strings.ReplaceAll(m[2], " ", ""))
		ret := at + uint64(len(code))
		target, ok := amd64.call(code[max(0, len(code)-maxCall):], ret)
		if !strings.Contains(m[3], "call ") || strings.Contains(m[3], "lcall") || strings.Contains(m[3], "syscall") {
			others++
			if ok {
				mistaken++ // an operand may look like a call
			}
			continue
		}
		calls++
		want := uint64(0)
		if d := direct.FindStringSubmatch(m[3]); d != nil {
			want, _ = strconv.ParseUint(d[1], 16, 64)
		}
		if !ok || target != want {
			t.Errorf("%s: got %v %#x, want a call of %#x", s.Text(), ok, target, want)
		}
	}
	if calls < 1000 || mistaken*1000 > others {
		t.Errorf("%d calls; %d of %d other instructions were taken for some", calls, mistaken, others)
	}
}

// TestCallARM64 has words that clang's assembler made.
func TestCallARM64(t *testing.T) {
	for name, test := range map[string]struct {
		word   string // as in memory
		target uint64
		ok     bool
	}{
		"bl #16":         {"04000094", 0x1010, true},
		"bl #-4":         {"ffffff97", 0xffc, true},
		"blr x8":         {"00013fd6", 0, true},
		"blraa x8, x9":   {"09093fd7", 0, true},
		"blraaz x8":      {"1f093fd6", 0, true},
		"blrabz x8":      {"1f0d3fd6", 0, true},
		"b #16":          {"04000014", 0, false},
		"br x8":          {"00011fd6", 0, false},
		"ret":            {"c0035fd6", 0, false},
		"nop":            {"1f2003d5", 0, false},
		"mov w0, #0":     {"00008052", 0, false},
		"ldr x0, [sp]":   {"e00340f9", 0, false},
		"tbz w0, #0, #4": {"20000036", 0, false},
	} {
		code, err := hex.DecodeString(test.word)
		if err != nil {
			t.Fatal(err)
		}
		if target, ok := arm64.call(code, 0x1004); ok != test.ok || target != test.target {
			t.Errorf("%s: got %v %#x, want %v %#x", name, ok, target, test.ok, test.target)
		}
		if _, ok := arm64.call(code, 0x1005); ok {
			t.Errorf("%s: taken for a call at an odd address", name)
		}
	}
}

// TestStubSlot has stubs as linkers write them, from objdump(1).
func TestStubSlot(t *testing.T) {
	for name, test := range map[string]struct {
		code string
		slot uint64
	}{
		"jmp *0x2fca(%rip)":         {"ff25ca2f0000" + "6800000000e9e0ffffff", 0x4000},
		"endbr64; jmp":              {"f30f1efaff25c62f00000f1f440000cc", 0x4000},
		"endbr64; bnd jmp":          {"f30f1efaf2ff25c52f00000f1f4400cc", 0x4000},
		"backwards":                 {"ff25faffffff" + "90909090909090909090", 0x1030},
		"push; jmp":                 {"ff35ca2f0000ff25cc2f00000f1f4000", 0},
		"a function":                {"554889e54883ec10897dfc8b45fc83c0", 0},
		"cut":                       {"f30f1efaff25", 0},
		"nothing":                   {"", 0},
		"a jump through a register": {"ffe0909090909090ff25ca2f00009090", 0},
	} {
		code, err := hex.DecodeString(test.code)
		if err != nil {
			t.Fatal(err)
		}
		if slot, ok := stubSlot(code, 0x1030); slot != test.slot || ok != (test.slot != 0) {
			t.Errorf("%s: got %#x %v, want %#x", name, slot, ok, test.slot)
		}
	}
}

func FuzzCall(f *testing.F) {
	f.Add([]byte{0xe8, 1, 2, 3, 4}, uint64(0x401000))
	f.Add([]byte{0xff, 0x14, 0x25, 0, 0, 0, 0}, uint64(0x401000))
	f.Fuzz(func(t *testing.T, code []byte, ret uint64) {
		for a := range arch(3) {
			a.call(code[max(0, len(code)-maxCall):], ret)
			stubSlot(code, ret)
			a.jumps(code, ret, func(uint64) bool { return true })
		}
	})
}
