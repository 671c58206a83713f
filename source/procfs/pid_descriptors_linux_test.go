package procfs

import (
	"context"
	"errors"
	"os/exec"
	"testing"
)

// One process counts as it does among all, and sockets as they come.
func TestDescriptors(t *testing.T) {
	c := exec.Command("cat")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	pid := int32(c.Process.Pid)
	end := func() {
		in.Close()
		c.Wait()
	}
	defer end()
	// What it opens at its start is closed again when it answers.
	if _, err := in.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	p, counts, err := FS{}.Descriptors(pid)
	if err != nil || p.PID != pid {
		t.Fatalf("process %+v, %v", p, err)
	}
	all, _, err := FS{}.ScanHolders(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if want, ok := all.Counts(p); !ok || counts != want || counts.Descriptors == 0 {
		t.Errorf("%+v; among all %+v, %v", counts, want, ok)
	}
	end()
	if _, _, err := (FS{}).Descriptors(pid); !errors.Is(err, ErrEnded) {
		t.Errorf("of a process that has ended: %v", err)
	}
	if _, _, err := (FS{Root: "testdata/none"}).Descriptors(1); err == nil {
		t.Error("no error without procfs")
	}
}
