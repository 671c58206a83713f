package ruletest

import (
	"net/netip"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/source/fold"
)

// Rested is a client's connections that are in TIME-WAIT, toward 10.0.3.7:8080 from a
// range of 1,000 ports: 600 closed by curl[51], which has ended, 200 by app[50], the
// others by nobody who is remembered.
func Rested(t testing.TB, connections int) tcpvet.Census {
	t.Helper()
	living, gone := tcpvet.Process{PID: 50, Start: 1}, tcpvet.Process{PID: 51, Start: 2}
	f := fold.New(fold.Options{})
	f.Netns(tcpvet.Netns{ID: 5, Ports: &tcpvet.Ports{Low: 40000, High: 40999}})
	f.Process(living, tcpvet.ProcessInfo{Comm: "app"})
	f.Process(gone, tcpvet.ProcessInfo{Comm: "curl", Ended: true})
	for i := range connections {
		s := tcpvet.Socket{
			Known: tcpvet.FactInode | tcpvet.FactTimer | tcpvet.FactMini | tcpvet.FactCookie, Netns: 5, State: tcpvet.TimeWait, Mini: true,
			Role: tcpvet.Client, Local: netip.AddrPortFrom(netip.MustParseAddr("10.0.0.5"), uint16(40000+i)),
			Remote: netip.MustParseAddrPort("10.0.3.7:8080"), Timer: tcpvet.Timer{Kind: tcpvet.TimerTimeWait, Expires: 30 * time.Second},
		}
		switch {
		case i < 600:
			s.Former = gone
		case i < 800:
			s.Former = living
		}
		if err := f.Socket(&s); err != nil {
			t.Fatal(err)
		}
	}
	c := f.Census()
	c.Facts = tcpvet.FactHolders | tcpvet.FactInode | tcpvet.FactTimer | tcpvet.FactTimeWait | tcpvet.FactMini | tcpvet.FactPortRange
	return c
}
