package procfs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"golang.org/x/sys/unix"
)

func TestSysctlsOfThisMachine(t *testing.T) {
	got, err := FS{}.Sysctls()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range settings {
		b, err := os.ReadFile("/proc/sys/" + name)
		v, ok := got[strings.ReplaceAll(name, "/", ".")]
		if os.IsNotExist(err) {
			if ok {
				t.Errorf("%s is %q, yet the kernel does not have it", name, v)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if want := strings.Join(strings.Fields(string(b)), " "); !ok || v != want {
			t.Errorf("%s is %q, want %q", name, v, want)
		}
	}
	if len(got) < 25 {
		t.Errorf("only %d settings", len(got))
	}
}

func TestSysctlsMissing(t *testing.T) {
	dir := t.TempDir()
	if _, err := (FS{Root: dir}).Sysctls(); err == nil {
		t.Error("no /proc/sys, and no error")
	}
	file := filepath.Join(dir, "sys/net/ipv4/tcp_tw_reuse")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("2\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := (FS{Root: dir}).Sysctls(); err != nil || len(got) != 1 || got["net.ipv4.tcp_tw_reuse"] != "2" {
		t.Errorf("got %v, %v", got, err)
	}
	if err := os.Mkdir(filepath.Join(dir, "sys/net/ipv4/tcp_timestamps"), 0o755); err != nil {
		t.Fatal(err)
	}
	if got, err := (FS{Root: dir}).Sysctls(); err == nil || !strings.Contains(err.Error(), "net.ipv4.tcp_timestamps") || len(got) != 1 {
		t.Errorf("one that cannot be read: %v, %v", got, err)
	}
}

// The settings are those of the thread's namespace, and a list of reserved
// ports comes whole however long it is.
func TestRootSysctlsOfNamespace(t *testing.T) {
	kerneltest.Netns(t)
	set := func(name, value string) {
		t.Helper()
		// The kernel takes a page at a time and adds what follows to it.
		if err := os.WriteFile("/proc/sys/net/ipv4/"+name, []byte(value), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	set("ip_local_port_range", "10001 10100")
	for _, test := range []struct{ low, high int }{{9000, 9600}, {10000, 11000}, {1025, 41025}} {
		var odd []string
		for port := test.low + 1; port <= test.high; port += 2 {
			odd = append(odd, fmt.Sprint(port))
		}
		set("ip_local_reserved_ports", strings.Join(odd, ","))
		got, err := FS{}.Sysctls()
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := got["net.ipv4.tcp_max_orphans"]; ok {
			t.Error("tcp_max_orphans shows in a namespace that is not the first")
		}
		p, err := PortsOf(got)
		if err != nil {
			t.Fatal(err)
		}
		if p.Low != 10001 || p.High != 10100 {
			t.Errorf("range %d-%d, want 10001-10100", p.Low, p.High)
		}
		if n := p.Reserved.Count(0, 65535); n != len(odd) {
			t.Errorf("%d reserved ports, %d were set", n, len(odd))
		}
	}
}

func TestHostInfo(t *testing.T) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	h := FS{}.HostInfo()
	if h.Name != unix.ByteSliceToString(u.Nodename[:]) || h.Kernel != unix.ByteSliceToString(u.Release[:]) {
		t.Errorf("got %+v, uname says %s %s", h, u.Nodename, u.Release)
	}
	for _, name := range []string{"orphans", "tcp_mem.pages"} {
		if _, ok := h.Counters[name]; !ok {
			t.Errorf("%s is missing", name)
		}
	}

	h = FS{Root: t.TempDir()}.HostInfo()
	if h.Name != "" || h.Kernel != "" || len(h.Counters) != 0 {
		t.Errorf("of nothing: %+v", h)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"sys/kernel/hostname": "web-1\n", "sys/kernel/osrelease": "6.18.44\n", "sys/net/ipv4/tcp_max_orphans": "65536\n",
		"sys/net/netfilter/nf_conntrack_count": "7\n", "sys/net/netfilter/nf_conntrack_max": "262144\n",
		"thread-self/net/sockstat": "sockets: used 16\nTCP: inuse 1 orphan 12 tw 3 alloc 4 mem 55\n",
	} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	h = FS{Root: dir}.HostInfo()
	want := map[string]uint64{"orphans": 12, "tcp_mem.pages": 55, "tcp_max_orphans": 65536, "conntrack.count": 7, "conntrack.max": 262144}
	for name, n := range want {
		if h.Counters[name] != n {
			t.Errorf("%s is %d, want %d", name, h.Counters[name], n)
		}
	}
	if h.Name != "web-1" || h.Kernel != "6.18.44" || len(h.Counters) != len(want) {
		t.Errorf("got %+v", h)
	}
}
