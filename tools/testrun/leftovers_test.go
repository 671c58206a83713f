package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestSince(t *testing.T) {
	before := scene{"setting /proc/sys/net/a": "1", "mount /mnt": "there", "file old": " M", "setting gone": "1"}
	now := scene{"setting /proc/sys/net/a": "2", "file old": " M", "file new": "??", "setting of a module": "0"}
	want := []string{"file new: new", `setting /proc/sys/net/a: was "1", is "2"`, "mount /mnt: gone"}
	if got := now.since(before); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := now.since(now); len(got) != 0 {
		t.Errorf("no change: %q", got)
	}
}

func TestSettings(t *testing.T) {
	s := scene{}
	s.settings("/proc/sys/net")
	want, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		t.Fatal(err)
	}
	if got := s["setting /proc/sys/net/ipv4/ip_local_port_range"]; got != strings.TrimSpace(string(want)) {
		t.Errorf("port range %q, want %q", got, want)
	}
	for what := range s {
		if strings.HasSuffix(what, "conntrack_count") {
			t.Errorf("%s changes by itself", what)
		}
	}
}

// A process that its test forgot, a file in TMPDIR and a new file in the
// checkout are found.
func TestLeftovers(t *testing.T) {
	r := module(t, map[string]string{"a.go": "package m\n"})
	git, err := exec.LookPath("git")
	if err != nil {
		t.Skip("needs program git: install Debian package git")
	}
	if out, err := exec.Command(git, "init", "-q", r.root).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	before := r.look()
	if left := append(r.look().since(before), append(r.processes(), r.tempFiles()...)...); len(left) != 0 {
		t.Fatalf("before anything ran: %q", left)
	}

	cmd := r.command(context.Background(), "sh", "-c", `touch "$TMPDIR/forgotten" new.go; sleep 600 & echo $!`)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := make([]byte, 20)
	n, err := out.Read(pid)
	if err != nil {
		t.Fatal(err)
	}
	sleeper := strings.TrimSpace(string(pid[:n]))
	t.Cleanup(func() { exec.Command("kill", sleeper).Run() })
	cmd.Process.Wait()

	err = r.checkLeftovers(before)
	if err == nil {
		t.Fatal("nothing found")
	}
	for _, want := range []string{"process " + sleeper + ": sleep 600", "temporary file forgotten", "file new.go: new"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nlacks %q", err, want)
		}
	}
	if err := exec.Command("kill", sleeper).Run(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{filepath.Join(r.temp, "forgotten"), filepath.Join(r.root, "new.go")} {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.checkLeftovers(before); err != nil {
		t.Errorf("after they are gone: %v", err)
	}
}
