package trace

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/netns"
)

// Failures and ends are counted by their kind, in the namespaces that were asked for.
func TestRootCounter(t *testing.T) { kerneltest.Undisturbed(t, testCounter) }

func testCounter(t testing.TB) {
	need(t)
	kerneltest.Netns(t)
	id, err := netns.Self()
	must(t, err)
	c, err := OpenCounter([]tcpvet.NetnsID{id})
	must(t, err)
	defer c.Close()
	elsewhere, err := OpenCounter([]tcpvet.NetnsID{1})
	must(t, err)
	defer elsewhere.Close()

	closedPort := netip.MustParseAddrPort("127.0.0.1:9")
	try := func(to netip.AddrPort, flags int) *socket {
		s := newSocket(t, unix.AF_INET, flags)
		if dial(s, to) == nil {
			t.Fatalf("connect to %v did not fail", to)
		}
		return s
	}
	for range 2 {
		try(closedPort, 0).close()
	}
	nowhere := deaf(t, closedPort)
	for range 3 {
		try(nowhere, unix.SOCK_NONBLOCK).close()
	}
	s := try(nowhere, unix.SOCK_NONBLOCK)
	destroy(t, localOf(t, s), nowhere, s.cookie)
	l, at := listen(t, lo4)
	full := exhaust(t, closedPort)
	for range 5 {
		try(full, 0).close()
	}
	sysctl(t, "ip_local_port_range", usualRange)
	for range 6 {
		client, server := connected(t, l, at)
		abortive(t, server)
		server.close()
		awaitState(t, client, tcpvet.Unconn)
	}
	got, err := c.Counts()
	must(t, err)
	want := [tcpvet.NumFailures]uint64{tcpvet.FailedNoAddress: 5, tcpvet.FailedRefused: 2, tcpvet.FailedGivenUp: 3, tcpvet.FailedAborted: 1}
	if got.Failed != want {
		t.Errorf("failed %v, want %v", got.Failed, want)
	}
	if got.Closed[rst][local] != 6 || got.Closed[rst][remote] != 6 || got.ClosedHow(rst) != 12 || got.ClosedHow(fin) != 0 {
		t.Errorf("closed %v, want 6 by RST of either end", got.Closed)
	}
	// The four that took all ports are open.
	if got.Connected() != 10 || got.Accepted() != 10 || got.Changes[tcpvet.SynSent][tcpvet.Unconn] != 11 {
		t.Errorf("%d connected, %d accepted, %v from SYN-SENT", got.Connected(), got.Accepted(), got.Changes[tcpvet.SynSent])
	}
	if other, err := elsewhere.Counts(); err != nil || other != (tcpvet.EventCounts{}) {
		t.Errorf("another namespace: %+v, %v", other, err)
	}
}
