package keepalive

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/vishvananda/netlink"
)

// As root the tests have a network namespace of their own, in which each goroutine
// is, those of net/http too.
func TestMain(m *testing.M) {
	if lo, err := net.InterfaceByName("lo"); os.Geteuid() == 0 && err == nil && lo.Flags&net.FlagUp == 0 {
		link, err := netlink.LinkByName("lo")
		if err == nil {
			err = netlink.LinkSetUp(link)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "set lo up:", err)
			os.Exit(1)
		}
	}
	kerneltest.Apart(m, nil)
}

// setting sets a setting of the tests' namespace until the test ends.
func setting(t testing.TB, name, value string) {
	t.Helper()
	path := "/proc/sys/net/" + name
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(value), 0); err != nil {
		t.Fatalf("set %s: %v", name, err)
	}
	t.Cleanup(func() {
		// Not a plain blank: the kernel reads an empty list so.
		if err := os.WriteFile(path, append(old, '\n'), 0); err != nil {
			t.Error(err)
		}
	})
}

// ports gives the kernel just these, and has no TIME-WAIT be reused.
func ports(t testing.TB, low, high int) {
	t.Helper()
	kerneltest.Root(t)
	setting(t, "ipv4/ip_local_port_range", fmt.Sprintf("%d %d", low, high))
	setting(t, "ipv4/tcp_tw_reuse", "0")
}

var fresh atomic.Int32

// address gives an address of lo that nobody has connected to: what is in TIME-WAIT from
// before has other ones.
func address(port int) string {
	n := fresh.Add(1)
	return fmt.Sprintf("127.77.%d.%d:%d", n/250, n%250+1, port)
}

// listen listens outside of all ranges that tests set.
func listen(t testing.TB, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// ss asks ss.
func ss(t testing.TB, args ...string) string {
	t.Helper()
	out, err := exec.Command(kerneltest.Tool(t, "ss"), args...).Output()
	if err != nil {
		t.Fatalf("ss %q: %v", args, err)
	}
	return string(out)
}

func run(t testing.TB, name string, input string) {
	t.Helper()
	cmd := exec.Command(name, "-f", "-")
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v: %s", name, input, err, out)
	}
}
