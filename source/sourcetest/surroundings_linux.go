package sourcetest

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
)

// processes checks what was told of the two processes that hold the sockets.
func (st *stage) processes(l *look, w *witness) {
	if !l.facts.Has(tcpvet.FactHolders) {
		if len(w.procs) > 0 {
			l.errorf("processes were told: %v", w.procs)
		}
		return
	}
	for p, info := range w.procs {
		pid := int(p.PID)
		if p.PID != st.self.PID && p.PID != st.child.PID {
			l.errorf("process %v holds none of the sockets", p)
			continue
		}
		comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		st.must(err)
		name := strings.TrimSpace(string(comm))
		if info.Comm != name && (l.precise() || info.Comm == "" || !strings.HasPrefix(name, info.Comm)) { // lsof cuts it
			l.errorf("process %d is called %q, not %q", pid, info.Comm, name)
		}
		if !l.facts.Has(tcpvet.FactLimits) {
			continue
		}
		var limit unix.Rlimit
		st.must(unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &limit))
		if info.DescriptorLimit != limit.Cur {
			l.errorf("process %d may open %d descriptors, not %d", pid, limit.Cur, info.DescriptorLimit)
		}
		sockets := uint64(0) // the child has what it was given, and the test more than it staged
		for _, s := range st.all {
			if s.shared || p == st.self && s.held() {
				sockets++
			}
		}
		if info.Sockets < sockets || p == st.child && info.Sockets != sockets || info.Descriptors < info.Sockets {
			l.errorf("process %d has %d sockets in %d descriptors; staged were %d", pid, info.Sockets, info.Descriptors, sockets)
		}
		link, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid))
		st.must(err)
		if got := fmt.Sprintf("net:[%d]", info.Netns); got != link {
			l.errorf("process %d is in %s, not %s", pid, got, link)
		}
	}
	if _, ok := w.procs[st.child]; l.precise() && !ok {
		l.errorf("the child, %v, was not told: %v", st.child, w.procs)
	}
}

// settings checks what was told of the namespace against its files.
func (st *stage) settings(l *look, w *witness) {
	file := func(name string) string {
		b, err := os.ReadFile("/proc/sys/net/ipv4/" + name)
		st.must(err)
		return strings.TrimSpace(string(b))
	}
	if len(w.spaces) != 1 {
		l.errorf("%d namespaces were told", len(w.spaces))
	}
	for id, n := range w.spaces {
		if l.facts.Has(tcpvet.FactNetns) && id != st.id {
			l.errorf("namespace %d was told, not %d", id, st.id)
		}
		if l.facts.Has(tcpvet.FactPortRange) {
			if n.Ports == nil {
				l.errorf("the port range is missing")
			} else if got, want := fmt.Sprintf("%d\t%d", n.Ports.Low, n.Ports.High), file("ip_local_port_range"); got != want {
				l.errorf("the port range is %q, not %q", got, want)
			}
		} else if n.Ports != nil {
			l.errorf("a port range is told: %+v", n.Ports)
		}
		if l.facts.Has(tcpvet.FactSysctls) {
			for _, name := range []string{"tcp_tw_reuse", "tcp_fin_timeout", "tcp_keepalive_time", "tcp_timestamps"} {
				if got, want := n.Sysctls["net.ipv4."+name], file(name); got != want {
					l.errorf("%s is %q, not %q", name, got, want)
				}
			}
		}
		if l.facts.Has(tcpvet.FactCounters) {
			minis := uint64(0)
			for _, s := range st.all {
				if s.mini {
					minis++
				}
			}
			if got := n.Counters["sockstat.TCP.tw"]; got != minis {
				l.errorf("the kernel counts %d mini-sockets, staged were %d", got, minis)
			}
		}
		if l.facts.Has(tcpvet.FactAddresses) {
			for _, want := range []string{"127.0.0.1/8", "::1/128"} {
				if !slices.ContainsFunc(n.Addresses, func(a tcpvet.Address) bool {
					return a.Prefix == netip.MustParsePrefix(want) && a.Interface == "lo" && a.Up
				}) {
					l.errorf("address %s of lo is missing: %+v", want, n.Addresses)
				}
			}
		}
	}
}
