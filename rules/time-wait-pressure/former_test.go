package timewaitpressure_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	timewaitpressure "github.com/tcpvet/tcpvet/rules/time-wait-pressure"
	"github.com/tcpvet/tcpvet/source/fold"
)

// Who closed what rests is said where it is remembered, and is nobody that holds
// other connections.
func TestFormer(t *testing.T) {
	living, gone := tcpvet.Process{PID: 50, Start: 1}, tcpvet.Process{PID: 51, Start: 2}
	ports := &tcpvet.Ports{Low: 40000, High: 40999}
	f := fold.New(fold.Options{})
	f.Netns(tcpvet.Netns{ID: 5, Ports: ports})
	f.Process(living, tcpvet.ProcessInfo{Comm: "app"})
	f.Process(gone, tcpvet.ProcessInfo{Comm: "curl", Ended: true})
	for i := range 900 {
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
	findings := timewaitpressure.Rule.Judge(tcpvet.Case{Now: c})
	if len(findings) != 1 {
		t.Fatalf("%d findings", len(findings))
	}
	got := findings[0]
	for _, want := range []string{
		"As a trace remembers, they were closed by curl[51], which has ended (600); app[50] (200).",
		"TIME-WAIT belongs to no process, and nobody has another connection to that endpoint now.",
	} {
		if !slices.Contains(got.Detail, want) {
			t.Errorf("lacks %q:\n%s", want, strings.Join(got.Detail, "\n"))
		}
	}
	if len(got.Subject.Processes) != 0 {
		t.Errorf("it is about %v, which hold none", got.Subject.Processes)
	}
}
