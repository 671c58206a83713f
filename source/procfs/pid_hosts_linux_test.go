package procfs

import (
	"bufio"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"golang.org/x/sys/unix"
)

// rooted gives a tree of procfs with processes 41, 42 and so on, each with a root
// of its own that fill makes.
func rooted(t *testing.T, fill ...func(root string)) FS {
	t.Helper()
	dir := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for i, f := range fill {
		pid := 41 + i
		at, root := filepath.Join(dir, "proc", fmt.Sprint(pid)), filepath.Join(dir, fmt.Sprintf("root%d", pid))
		must(os.MkdirAll(filepath.Join(at, "ns"), 0o755))
		must(os.MkdirAll(filepath.Join(root, "etc"), 0o755))
		stat := fmt.Sprintf("%d (prog) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 7 0 0\n", pid)
		must(os.WriteFile(filepath.Join(at, "stat"), []byte(stat), 0o644))
		must(os.Symlink(root, filepath.Join(at, "root")))
		must(os.Symlink("mnt:[4026532200]", filepath.Join(at, "ns/mnt"))) // one for all: roots tell them apart
		f(root)
	}
	return FS{Root: filepath.Join(dir, "proc")}
}

func hostsFile(t *testing.T, text string) func(root string) {
	return func(root string) {
		if err := os.WriteFile(filepath.Join(root, "etc/hosts"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLocalhost(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("10.9.9.9 localhost\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	link := func(to string) func(string) {
		return func(root string) {
			if err := os.Symlink(to, filepath.Join(root, "etc/hosts")); err != nil {
				t.Fatal(err)
			}
		}
	}
	const unread = "not read"
	tests := []struct {
		name string
		fill func(root string)
		want string
	}{
		{"a file", hostsFile(t, "::1 localhost\n127.0.0.1 localhost\n"), "::1 127.0.0.1"},
		{"another root of the same namespace", hostsFile(t, "::1 localhost\n"), "::1"},
		{"no file", func(string) {}, ""},
		{"a link to a path outside", link(secret), ""},
		{"a link upwards", link("../../../../../../../../.." + secret), ""},
		{"a link inside, by a path from the root", func(root string) {
			link("/etc/static")(root)
			if err := os.WriteFile(filepath.Join(root, "etc/static"), []byte("127.0.0.1 localhost\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}, "127.0.0.1"},
		{"a pipe that nobody writes to", func(root string) {
			if err := unix.Mkfifo(filepath.Join(root, "etc/hosts"), 0o644); err != nil {
				t.Fatal(err)
			}
		}, unread},
		{"a long list behind localhost", hostsFile(t, "::1 localhost\n"+strings.Repeat("0.0.0.0 ads.example\n", maxHosts/10)), "::1"},
		{"a long list before localhost", hostsFile(t, strings.Repeat("0.0.0.0 ads.example\n", maxHosts/10)+"::1 localhost\n"), unread},
	}
	var fill []func(string)
	for _, tt := range tests {
		fill = append(fill, tt.fill)
	}
	ps := Processes{FS: rooted(t, fill...), Hosts: true}
	missed := 0
	for i, tt := range tests {
		p := tcpvet.Process{PID: int32(41 + i), Start: 7}
		for range 2 { // the second time from memory
			info, err := ps.Info(p)
			if err != nil {
				t.Fatal(err)
			}
			got := spelled(info.Localhost)
			if info.Localhost == nil {
				got = unread
			}
			if got != tt.want {
				t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
			}
		}
		if tt.want == unread {
			missed++
		}
	}
	gaps := ps.Gaps()
	if len(gaps) != 1 || gaps[0].What != "hosts file" || gaps[0].Count != missed || gaps[0].Needs != "" {
		t.Errorf("gaps %+v, want one of %d files", gaps, missed)
	}
	info, err := (&Processes{FS: ps.FS}).Info(tcpvet.Process{PID: 41, Start: 7})
	if err != nil || info.Localhost != nil {
		t.Errorf("not asked for: %v, %v", info.Localhost, err)
	}
}

// TestSilentHosts reads from what never answers.
func TestSilentHosts(t *testing.T) {
	end := make(chan bool)
	defer close(end)
	addrs, err := patiently(time.Millisecond, func() ([]netip.Addr, error) {
		<-end
		return nil, nil
	})
	if addrs != nil || !errors.Is(err, errSilent) {
		t.Errorf("%v, %v", addrs, err)
	}
	ps := Processes{FS: rooted(t, hostsFile(t, "::1 localhost\n")), Hosts: true, hosts: hostsFiles{silent: mostSilent}}
	info, err := ps.Info(tcpvet.Process{PID: 41, Start: 7})
	if err != nil || info.Localhost != nil || len(ps.Gaps()) != 1 {
		t.Errorf("after %d that did not answer: %v, %v, gaps %v", mostSilent, info.Localhost, err, ps.Gaps())
	}
}

// TestLocalhostOfContainer asks for a process that has mounted a hosts file of its
// own, as container runtimes do.
func TestLocalhostOfContainer(t *testing.T) {
	kerneltest.UserNS(t)
	file := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(file, []byte("::1 localhost\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(kerneltest.Tool(t, "unshare"), "-rm", "sh", "-c", `mount --bind "$1" /etc/hosts && echo ready && read end`, "sh", file)
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
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait() // read ends at the end of its input, with 1
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("%q, %v", line, err)
	}
	ps := Processes{Hosts: true}
	info, err := ps.Info(process(t, cmd.Process.Pid))
	if err != nil || spelled(info.Localhost) != "::1" {
		t.Errorf("inside: %v, %v (gaps %v)", info.Localhost, err, ps.Gaps())
	}
	b, err := os.ReadFile("/etc/hosts")
	if err != nil {
		t.Fatal(err)
	}
	info, err = ps.Info(process(t, os.Getpid()))
	if want := spelled(ParseHosts(b, "localhost")); err != nil || spelled(info.Localhost) != want {
		t.Errorf("outside: %v, %v, want %s", info.Localhost, err, want)
	}
}
