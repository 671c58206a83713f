package trace

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kernel"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// What is missing is named, and what it needs is said apart.
func TestMissing(t *testing.T) {
	because := &kernel.Unsupported{Feature: "it"}
	err := error(&MissingError{Doing: "trace", Needs: []string{"CAP_BPF", "CAP_PERFMON"}, Err: because})
	if want := "trace: needs CAP_BPF and CAP_PERFMON: find it: kernel lacks it"; err.Error() != want || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %q, want %q", err, want)
	}
	if g := gap("stacks", err); g.What != "stacks" || g.Needs != "CAP_BPF and CAP_PERFMON" || g.Err != because.Error() {
		t.Errorf("%+v", g)
	}
	if g := gap("stacks", errors.New("no luck")); g.Needs != "" || g.Err != "no luck" {
		t.Errorf("%+v", g)
	}
}

func init() { Parts["least"] = least }

// sight is what a trace of a process with few capabilities comes to.
type sight struct {
	Needs   []string
	Err     string
	Missing []tcpvet.Gap
	Client  tcpvet.Event
}

// least traces one connection of its own.
func least() error {
	var v sight
	tr, err := Open(Options{})
	if err != nil {
		v.Err = err.Error()
		if m, ok := errors.AsType[*MissingError](err); ok {
			v.Needs = m.Needs
		}
		return kerneltest.Say(v)
	}
	defer tr.Close()
	v.Missing = tr.Missing()
	var to netip.AddrPort
	if err := json.NewDecoder(os.Stdin).Decode(&to); err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := dial(&socket{fd: fd}, to); err != nil {
		return err
	}
	enough := errors.New("enough")
	ctx, cancel := context.WithTimeout(context.Background(), hasty)
	defer cancel()
	err = tr.Run(ctx, func(e *tcpvet.Event) error {
		if e.Remote == to {
			v.Client = *e
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		return err
	}
	return kerneltest.Say(v)
}

// CAP_BPF and CAP_PERFMON are enough; who lacks them is told so by name.
func TestRootLeast(t *testing.T) { kerneltest.Undisturbed(t, testLeast) }

func testLeast(t testing.TB) {
	need(t)
	kerneltest.Netns(t)
	_, at := listen(t, lo4)
	const bpf, perfmon = unix.CAP_BPF, unix.CAP_PERFMON
	for _, test := range []struct {
		name  string
		caps  []uintptr
		needs []string
	}{
		{"none", nil, []string{"CAP_BPF", "CAP_PERFMON"}},
		{"CAP_BPF alone", []uintptr{bpf}, []string{"CAP_PERFMON"}},
		{"CAP_PERFMON alone", []uintptr{perfmon}, []string{"CAP_BPF"}},
		{"both", []uintptr{bpf, perfmon}, nil},
	} {
		p := start(t, "least", at, func(cmd *exec.Cmd) {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}, AmbientCaps: test.caps}
		})
		var v sight
		must(t, p.answer.Decode(&v))
		must(t, p.end())
		if !slices.Equal(v.Needs, test.needs) || (v.Err != "") != (test.needs != nil) || len(v.Missing) > 0 {
			t.Errorf("%s: needs %q (%s), missing %+v; want %q", test.name, v.Needs, v.Err, v.Missing, test.needs)
		}
		if test.needs == nil && (v.Client.Process != p.id || v.Client.KnownBy == tcpvet.ByNothing) {
			t.Errorf("%s: %+v, want it of %v", test.name, v.Client, p.id)
		}
	}
}
