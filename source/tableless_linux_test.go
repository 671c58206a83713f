package source_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/netns"
	"github.com/tcpvet/tcpvet/source"
	"github.com/tcpvet/tcpvet/store"
)

// TestRootTableless tells the sockets of a process that are in no table, by each
// source, of a process that has others too and of one that has none.
func TestRootTableless(t *testing.T) {
	kerneltest.Netns(t)
	var mixed, alone int32
	kerneltest.Start(t, "tableless", &mixed, func(c *exec.Cmd) { c.Env = append(c.Environ(), "TABLED=1") })
	kerneltest.Start(t, "tableless", &alone, func(*exec.Cmd) {})
	self, err := netns.Self()
	must(t, err)
	for kind, open := range map[string]opener{"netlink": live("netlink"), "procfs": live("procfs"), "bpf": withBPF} {
		src := open(t)
		q := source.Query{
			Want:  tcpvet.FactTableless | tcpvet.FactBound,
			Netns: source.Namespaces{Names: []string{fmt.Sprint(self)}},
		}
		if !src.Facts(q.Want).Has(tcpvet.FactTableless) {
			t.Errorf("%s does not tell sockets in no table", kind)
		}
		c, err := source.Take(context.Background(), src, q, source.TakeOptions{})
		must(t, err)
		quiet := uint64(tablelessQuiet)
		if !c.Facts.Has(tcpvet.FactBound) {
			// The failed and the disconnected one have a port in their name,
			// which bind() may have put there.
			quiet -= 2
		}
		for _, pid := range []int32{mixed, alone} {
			info, ok := process(&c, pid)
			if !ok || info.Tableless == nil {
				t.Errorf("%s: process %d: told %v, %+v", kind, pid, ok, info)
				continue
			}
			got := *info.Tableless
			if !inodeOf(pid, got.Inode) {
				t.Errorf("%s: process %d has no descriptor of inode %d", kind, pid, got.Inode)
			}
			got.Inode = 0
			if diff := cmp.Diff(tcpvet.Tableless{Used: tablelessUsed, Quiet: quiet}, got); diff != "" {
				t.Errorf("%s: process %d (-want +got):\n%s", kind, pid, diff)
			}
		}
		q.Want &^= tcpvet.FactTableless
		q.Want |= tcpvet.FactHolders
		c, err = source.Take(context.Background(), src, q, source.TakeOptions{})
		must(t, err)
		if _, ok := process(&c, alone); ok {
			t.Errorf("%s: not asked for, and a process without sockets in a table is told", kind)
		}
		if info, ok := process(&c, mixed); !ok || info.Tableless != nil {
			t.Errorf("%s: not asked for, told %v: %+v", kind, ok, info.Tableless)
		}
		// The same of sockets that are told one by one.
		l := new(listed)
		q.Want |= tcpvet.FactTableless
		must(t, src.Look(t.Context(), q, l))
		for _, pid := range []int32{mixed, alone} {
			told := false
			for p, info := range l.procs {
				told = told || p.PID == pid && info.Tableless != nil && info.Tableless.Used == tablelessUsed && info.Tableless.Quiet == quiet
			}
			if !told {
				t.Errorf("%s: process %d is not told with what it has in no table", kind, pid)
			}
		}
	}

	// What was saved tells the same.
	src, err := source.Open("netlink")
	must(t, err)
	var saved bytes.Buffer
	q := source.Query{Want: tcpvet.FactTableless | tcpvet.FactBound, Netns: source.Namespaces{Names: []string{fmt.Sprint(self)}}}
	w := store.NewWriter(&saved, store.Header{Facts: src.Facts(q.Want), Source: src.Name(), Self: self, Taken: time.Now()})
	must(t, src.Look(context.Background(), q, w))
	must(t, w.Close())
	file, err := source.File(&saved, source.FileOptions{})
	must(t, err)
	c, err := source.Take(context.Background(), file, source.Query{Want: q.Want}, source.TakeOptions{})
	must(t, err)
	for _, pid := range []int32{mixed, alone} {
		if info, ok := process(&c, pid); !ok || info.Tableless == nil || info.Tableless.Used != tablelessUsed {
			t.Errorf("from a snapshot, process %d: told %v, %+v", pid, ok, info.Tableless)
		}
	}
}

func process(c *tcpvet.Census, pid int32) (tcpvet.ProcessInfo, bool) {
	for p, info := range c.Processes {
		if p.PID == pid {
			return info, true
		}
	}
	return tcpvet.ProcessInfo{}, false
}

// inodeOf tells whether the process has a descriptor of that socket.
func inodeOf(pid int32, inode uint64) bool {
	links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, l := range links {
		if to, err := os.Readlink(l); err == nil && to == fmt.Sprintf("socket:[%d]", inode) {
			return true
		}
	}
	return false
}
