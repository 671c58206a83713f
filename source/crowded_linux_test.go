package source_test

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/source"
)

// In a table with many sockets to a bucket the kernel may pass over some: the look
// says so. In the usual one it does not.
func TestRootCrowdedTable(t *testing.T) {
	for _, small := range []bool{false, true} {
		t.Run(map[bool]string{false: "shared", true: "of its own, with 256 buckets"}[small], func(t *testing.T) {
			kerneltest.Netns(t)
			if small {
				const file = "/proc/sys/net/ipv4/tcp_child_ehash_entries"
				kerneltest.Need(t, func() error { _, err := os.Stat(file); return err })
				if err := os.WriteFile(file, []byte("256"), 0); err != nil { // for namespaces made from this one
					t.Fatal(err)
				}
				if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
					t.Fatal(err)
				}
				upLoopback(t)
			}
			population(t, 2000)
			keepNetns(t)
			src, err := source.Open("netlink")
			if err != nil {
				t.Fatal(err)
			}
			c, err := source.Take(t.Context(), src, ownOnly(t, tcpvet.FactListeners), source.TakeOptions{})
			if err != nil {
				t.Fatal(err)
			}
			said := false
			for _, g := range c.Gaps {
				said = said || g.What == "some sockets" && strings.Contains(g.Err, "share 256 buckets")
			}
			if said != small {
				t.Errorf("gaps: %+v", c.Gaps)
			}
		})
	}
}

func upLoopback(t *testing.T) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	lo.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		t.Fatal(err)
	}
}
