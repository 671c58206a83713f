package kernel_test

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/tcpvet/tcpvet/internal/kernel"
)

func TestUnsupported(t *testing.T) {
	err := fmt.Errorf("open source: %w", &kernel.Unsupported{Feature: "sockets", Since: "6.8", Err: fs.ErrInvalid})
	if !errors.Is(err, errors.ErrUnsupported) {
		t.Error("not errors.ErrUnsupported")
	}
	if !errors.Is(err, fs.ErrInvalid) {
		t.Error("the kernel's answer is lost")
	}
	if errors.Is(err, fs.ErrPermission) {
		t.Error("matches an error that it does not hold")
	}
	if want := "open source: find sockets: kernel lacks it (Linux 6.8 has it): invalid argument"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	if got, want := (&kernel.Unsupported{Feature: "a mount", Lack: "none is there"}).Error(), "find a mount: none is there"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
