package procfs

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/tcpvet/tcpvet"
)

func TestParseHandled(t *testing.T) {
	const format = "Name:\tx\nSigBlk:\tffffffffffffffff\nSigIgn:\t%s\nSigCgt:\t%s\nCapInh:\t0\n"
	// SIGPIPE is 13, so bit 12; signal 64 is the last.
	for name, c := range map[string]struct {
		ignored, caught string
		sig             syscall.Signal
		handled, ok     bool
	}{
		"neither":       {"0000000000000000", "0000000000000000", 13, false, true},
		"ignored":       {"0000000000001000", "0000000000000000", 13, true, true},
		"caught":        {"0000000000000000", "0000000000001000", 13, true, true},
		"its neighbour": {"0000000000000800", "0000000000002000", 13, false, true},
		"the last":      {"0000000000000000", "8000000000000000", 64, true, true},
		"no signal":     {"ffffffffffffffff", "ffffffffffffffff", 0, false, true},
		"no number":     {"no", "0", 13, false, false},
		"too long":      {"0", "10000000000000000", 13, false, false},
	} {
		if handled, ok := parseHandled(fmt.Appendf(nil, format, c.ignored, c.caught), c.sig); handled != c.handled || ok != c.ok {
			t.Errorf("%s: %v, %v", name, handled, ok)
		}
	}
	if _, ok := parseHandled([]byte("SigIgn:\t0\n"), 13); ok {
		t.Error("a line is missing, and that passed")
	}
}

func FuzzParseHandled(f *testing.F) {
	f.Add([]byte("SigIgn:\t0000000000001000\nSigCgt:\t0000000000000000\n"), 13)
	f.Fuzz(func(t *testing.T, b []byte, sig int) {
		if handled, ok := parseHandled(b, syscall.Signal(sig)); handled && ok && (sig < 1 || sig > 64) {
			t.Fatalf("signal %d is handled", sig)
		}
	})
}

// A shell says by trap what it does about a signal.
func TestHandles(t *testing.T) {
	for trap, want := range map[string]bool{"": false, "trap '' PIPE;": true, "trap 'exit 0' PIPE;": true} {
		cmd := exec.Command("/bin/sh", "-c", trap+" echo; read x")
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Read(make([]byte, 1)); err != nil { // the trap is set
			t.Fatal(err)
		}
		p, _, err := FS{}.Descriptors(int32(cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		got, err := FS{}.Handles(p, syscall.SIGPIPE)
		if err != nil || got != want {
			t.Errorf("%q: %v, %v", trap, got, err)
		}
		if _, err := (FS{}).Handles(tcpvet.Process{PID: p.PID, Start: p.Start + 1}, syscall.SIGPIPE); !errors.Is(err, ErrEnded) {
			t.Errorf("another process of that PID: %v", err)
		}
		in.Close()
		_ = cmd.Wait()
		if _, err := (FS{}).Handles(p, syscall.SIGPIPE); !errors.Is(err, ErrEnded) {
			t.Errorf("after it has ended: %v", err)
		}
	}
	if _, err := (FS{Root: os.DevNull}).Handles(tcpvet.Process{PID: 1}, syscall.SIGPIPE); err == nil {
		t.Error("no procfs, and no error")
	}
}
