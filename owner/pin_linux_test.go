package owner_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/owner"
)

const pinned = owner.Root + "/tcpvet"

// keepUntilEnd is another Keeper.
func keepUntilEnd() error {
	k, err := owner.Keep(owner.Options{Connections: 1 << 10})
	if err != nil {
		return err
	}
	if err := kerneltest.Say("kept"); err != nil {
		return err
	}
	kerneltest.UntilEnd()
	return k.Close()
}

// pins lists what is below the folder, nil where that is not there.
func pins(t testing.TB) []string {
	t.Helper()
	found, err := filepath.Glob(pinned + "/*/*")
	must(t, err)
	if found == nil {
		if _, err := os.Stat(pinned); err == nil {
			t.Error("the folder is there, and empty")
		}
	}
	return found
}

// finds tells whether anything can be read.
func finds(t testing.TB) bool {
	t.Helper()
	r, err := owner.Open("")
	must(t, err)
	defer r.Close()
	return r != nil
}

// What a Keeper leaves behind that was killed is passed over, and the next one removes
// it.
func TestRootKeeperKilled(t *testing.T) {
	stage(t)
	if finds(t) || pins(t) != nil {
		t.Fatal("something is remembered before")
	}
	var said string
	other := kerneltest.Start(t, "keep", &said, func(*exec.Cmd) {})
	if !finds(t) {
		t.Fatal("the other is not found")
	}
	must(t, other.Process.Kill())
	other.End()
	dead := pins(t)
	if len(dead) != 1 {
		t.Fatalf("%q is left", dead)
	}
	if finds(t) {
		t.Error("a dead one is read")
	}
	k := keep(t, owner.Options{})
	if now := pins(t); len(now) != 1 || now[0] == dead[0] {
		t.Errorf("there are %q, of which %q is dead", now, dead)
	}
	must(t, k.Close())
	if now := pins(t); now != nil {
		t.Errorf("%q is left", now)
	}
}

// Keepers do not disturb each other, and a reader asks all.
func TestRootTwoKeepers(t *testing.T) { kerneltest.Undisturbed(t, testTwoKeepers) }

func testTwoKeepers(t testing.TB) {
	stage(t)
	var said string
	first := kerneltest.Start(t, "keep", &said, func(*exec.Cmd) {})
	closed := func() uint64 {
		ends, err := connect(unix.AF_INET)
		must(t, err)
		number, err := end(ends.client, ends.server)
		must(t, err)
		return number
	}
	me, err := myself()
	must(t, err)
	early := closed()
	keep(t, owner.Options{Connections: 1 << 10})
	if now := pins(t); len(now) != 2 {
		t.Fatalf("there are %q", now)
	}
	me.Cookies = []uint64{early, closed()}
	had(t, reader(t), &me)
	first.End()
	if now := pins(t); len(now) != 1 {
		t.Errorf("there are %q", now)
	}
	r := reader(t)
	unknown(t, r, early)
	me.Cookies = append(me.Cookies[1:], closed())
	had(t, r, &me)
}

// Beginning and ending at once never leaves one without its table.
func TestRootKeepersRace(t *testing.T) {
	stage(t)
	for range 10 {
		var others []*kerneltest.Actor
		for range 3 {
			var said string
			others = append(others, kerneltest.Start(t, "keep", &said, func(*exec.Cmd) {}))
		}
		for _, o := range others {
			o.In.Close()
		}
		k := keep(t, owner.Options{Connections: 1 << 10})
		for _, o := range others {
			if err := o.Wait(); err != nil {
				t.Fatal(err)
			}
		}
		if now := pins(t); len(now) != 1 {
			t.Fatalf("there are %q", now)
		}
		must(t, k.Close())
		if now := pins(t); now != nil {
			t.Fatalf("there are %q", now)
		}
	}
}

// What is missing is named, and nothing is left.
func TestRootCannotKeep(t *testing.T) {
	stage(t)
	plain := t.TempDir()
	for _, test := range []struct {
		name string
		o    owner.Options
		set  func()
		want []string
	}{
		{"not mounted", owner.Options{Dir: plain}, nil, []string{"none is mounted on " + plain, "mount -t bpf"}},
		{"not there", owner.Options{Dir: plain + "/absent"}, nil, []string{"none is mounted on " + plain}},
		{"too few", owner.Options{Connections: -1}, nil, []string{"-1 connections", "1 to "}},
		{"too many", owner.Options{Connections: 1 << 30}, nil, []string{"1073741824 connections", "1 to "}},
		{"read-only", owner.Options{}, func() {
			must(t, unix.Mount("", owner.Root, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""))
			t.Cleanup(func() { _ = unix.Mount("", owner.Root, "", unix.MS_REMOUNT|unix.MS_BIND, "") })
		}, []string{"make " + pinned, "read-only", "mounted for writing"}},
	} {
		if test.set != nil {
			test.set()
		}
		k, err := owner.Keep(test.o)
		if k != nil || err == nil {
			t.Fatalf("%s: it works", test.name)
		}
		text := err.Error()
		for _, want := range append(test.want, "remember the owners of TIME-WAIT: ") {
			if !strings.Contains(text, want) {
				t.Errorf("%s: %q lacks %q", test.name, text, want)
			}
		}
		if now := pins(t); now != nil {
			t.Errorf("%s: %q is left", test.name, now)
		}
	}
}

// Without the capabilities they are named, and without permission that.
func TestRootPowerless(t *testing.T) {
	stage(t)
	for _, test := range []struct {
		mode os.FileMode
		want string
	}{
		{0o755, "make " + pinned + ": permission denied: run as root"},
		{0o777, "needs CAP_BPF and CAP_PERFMON"},
	} {
		must(t, os.Chmod(owner.Root, test.mode))
		cmd := kerneltest.Part("keep")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		var said strings.Builder
		cmd.Stderr = &said
		if err := cmd.Run(); err == nil {
			t.Fatal("it works without a capability")
		}
		if !strings.Contains(said.String(), test.want) {
			t.Errorf("it says %q, not %q", said.String(), test.want)
		}
		if now := pins(t); now != nil {
			t.Errorf("%q is left", now)
		}
	}
}
