package dump

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
)

// TestHolder tells apart nobody, unseen and not known.
func TestHolder(t *testing.T) {
	const p = tcpvet.FactHolders
	for _, c := range []struct {
		name, text string
		known      tcpvet.Facts
		holder     tcpvet.Process
	}{
		{"held", `ESTAB 0 0 10.0.0.1:1 10.0.0.2:80 users:(("a",pid=5,fd=3))`, p, tcpvet.Process{PID: 5}},
		{"no inode", "ESTAB 0 0 10.0.0.1:1 10.0.0.2:80 ino:0 sk:1", p, tcpvet.Nobody},
		{"an inode, and no process", "ESTAB 0 0 10.0.0.1:1 10.0.0.2:80 ino:9 sk:1", p, tcpvet.Unseen},
		{"neither", "ESTAB 0 0 10.0.0.1:1 10.0.0.2:80", 0, tcpvet.Unseen},
		{"TIME-WAIT", "TIME-WAIT 0 0 10.0.0.1:1 10.0.0.2:80", p, tcpvet.Nobody},
		{"SYN-RECV", "SYN-RECV 0 0 10.0.0.1:1 10.0.0.2:80", p, tcpvet.Nobody},
	} {
		_, got := read(t, c.text+"\n"+`ESTAB 0 0 10.0.0.1:2 10.0.0.2:80 users:(("b",pid=6,fd=3))`+"\n")
		if s := got.sockets[0]; s.Known&p != c.known || s.Holder != c.holder {
			t.Errorf("%s: holder %v, known %v", c.name, s.Holder, s.Known)
		}
		d, alone := read(t, c.text+"\n")
		if c.name != "held" && (d.Facts().Has(p) || alone.sockets[0].Knows(p)) {
			t.Errorf("%s: without -p holders are taken for known", c.name)
		}
	}
}

// TestFacts proves that a text claims no more than it shows.
func TestFacts(t *testing.T) {
	const estab = "ESTAB 0 0 10.0.0.1:1 10.0.0.2:80\n"
	for _, c := range []struct {
		name, text string
		want       tcpvet.Facts
	}{
		{"ss without a header", estab, tcpvet.FactQueues},
		{"ss with a header", ssHead + estab, tcpvet.FactQueues},
		{"ss -a", "$ ss -tan\n" + ssHead + estab, tcpvet.FactQueues | tcpvet.FactTimeWait | tcpvet.FactListeners},
		{"ss -a, filtered", "$ ss -tan dst 10.0.0.2\n" + ssHead + estab, tcpvet.FactQueues},
		{"ss -a, piped", "$ ss -tan | grep 10.0.0.2\n" + estab, tcpvet.FactQueues},
		{"another command above", "$ netstat -tan\n" + ssHead + estab, tcpvet.FactQueues},
		{"-o, no timer", "$ ss -tno\n" + estab, tcpvet.FactQueues | tcpvet.FactTimer | tcpvet.FactMini},
		{"-o shows in ts", estab + "\t ts cwnd:10\n", tcpvet.FactQueues | tcpvet.FactTimer | tcpvet.FactMini | tcpvet.FactInfo},
		{"tcp_info without -o", estab + "\t cwnd:10\n", tcpvet.FactQueues | tcpvet.FactMini | tcpvet.FactInfo},
		{"tcp_info of a listener", "LISTEN 0 5 10.0.0.1:1 0.0.0.0:*\n\t cwnd:10\n", tcpvet.FactBacklog | tcpvet.FactBacklogMax | tcpvet.FactListeners},
		{"bound", "LISTEN 0 5 10.0.0.1:1 0.0.0.0:*\nUNCONN 0 0 10.0.0.1:2 0.0.0.0:*\n",
			tcpvet.FactQueues | tcpvet.FactBacklog | tcpvet.FactBacklogMax | tcpvet.FactListeners | tcpvet.FactBound},
		{"netstat through grep", "tcp 0 0 10.0.0.1:1 10.0.0.2:80 ESTABLISHED\n", tcpvet.FactQueues},
		{"-e shows timers", estab[:len(estab)-1] + " ino:9 sk:1\n",
			tcpvet.FactQueues | tcpvet.FactTimer | tcpvet.FactMini | tcpvet.FactInode | tcpvet.FactUID | tcpvet.FactCookie},
		{"netstat without -a", "Active Internet connections (w/o servers)\n", tcpvet.FactTimeWait},
		{"netstat -l", "Active Internet connections (only servers)\n", tcpvet.FactListeners},
		{"a line of /proc/net/tcp", "0: 0100007F:1F90 0200007F:CD1E 06 00000000:00000000 03:00000100 00000000 0 0 0\n",
			tcpvet.FactQueues | tcpvet.FactInode | tcpvet.FactTimer | tcpvet.FactMini | tcpvet.FactTimeWait},
		{"lsof of macOS", "a 5 me 3u IPv4 0x1 0t0 TCP 10.0.0.1:1->10.0.0.2:80 (ESTABLISHED)\n", tcpvet.FactHolders | tcpvet.FactMini},
	} {
		if d, _ := read(t, c.text); d.Facts() != c.want {
			t.Errorf("%s: facts are %v, not %v", c.name, d.Facts(), c.want)
		}
	}
}

// TestProtocol asks whose sockets lines without the column Netid are: ss -ua shows
// UNCONN and ESTAB alone, which ss -ta can show too.
func TestProtocol(t *testing.T) {
	const estab, unconn = "ESTAB 0 0 10.0.0.1:1 10.0.0.2:53\n", "UNCONN 0 0 127.0.0.1:323 0.0.0.0:*\n"
	const both = unconn + estab
	for _, c := range []struct {
		text string
		want error
	}{
		{both, errMaybeUDP},
		{unconn, errMaybeUDP},
		{ssHead + both, errMaybeUDP},
		{"$ ss -an\n" + both, errMaybeUDP},              // of all it would have shown which
		{"$ ss -tuan | cut -c7-\n" + both, errMaybeUDP}, // either
		{"$ netstat -tan\n" + both, errMaybeUDP},        // another command's
		{estab, nil},
		{both + "LISTEN 0 5 0.0.0.0:80 0.0.0.0:*\n", nil},
		{both + "TIME-WAIT 0 0 10.0.0.1:2 10.0.0.2:80\n", nil},
		{both + "\t cwnd:10\n", nil},
		{both[:len(both)-1] + " timer:(keepalive,9sec,0)\n", nil},

		{"$ ss -tan\n" + both, nil},
		{"$ ss -ant\n" + both, nil},
		{"$ ss -a --tcp -n\n" + both, nil},
		{"$ ss -anA tcp\n" + both, nil},
		{"$ ss -anAtcp\n" + both, nil},
		{"$ ss -an --query=tcp\n" + both, nil},
		{"$ ss -an --socket tcp\n" + both, nil},
		{"ss -tan\n" + both, nil},
		{"root@web1:~# sudo nsenter -t 4121 -n ss -tan\n" + both, nil},
		{"$ ss -tan | grep -u x\n" + both, nil},

		{"$ ss -uan\n" + both, errNotTCP},
		{"$ ss -uan\n" + ssHead, errNotTCP}, // not: no socket
		{"$ ss -un\n" + estab, errNotTCP},
		{"$ ss -an -A udp\n" + both, errNotTCP},
		{"$ ss -an --query=udp,raw\n" + both, errNotTCP},
		{"$ ss -wan\n" + unconn, errNotTCP},
		{"$ ss -uan; ss -tan\n" + both, errNotTCP},
		{"$ ss -uan\n" + both + "TIME-WAIT 0 0 10.0.0.1:2 10.0.0.2:80\n", nil}, // which UDP has not
		{"$ ss -tn -f inet\n" + both, nil},
		{"$ ss -tn -N u\n" + both, nil},
		{"$ netstat -uan\nActive Internet connections (servers and established)\nudp 0 0 127.0.0.1:323 0.0.0.0:*\n", errNotTCP},
	} {
		for _, lenient := range []bool{false, true} {
			d, err := Parse(strings.NewReader(c.text), Options{Lenient: lenient})
			if !errors.Is(err, c.want) || err == nil && d.records.len() == 0 {
				t.Errorf("lenient %v: %v, not %v, for\n%s", lenient, err, c.want, c.text)
			}
		}
	}
	if !strings.Contains(errMaybeUDP.Error(), "$ ss -tan") {
		t.Error("the refusal does not say how to be explicit")
	}
}

// TestNetstatTimer reads each kind: the second number counts segments sent again,
// the third probes (net-tools prints retrnsmt and timeout of /proc/net/tcp).
func TestNetstatTimer(t *testing.T) {
	for text, want := range map[string]tcpvet.Timer{
		"off (0.00/0/0)":          {},
		"on (1.27/3/9)":           {Kind: tcpvet.TimerOn, Expires: 1270 * time.Millisecond, Retransmits: 3},
		"keepalive (7199.34/3/9)": {Kind: tcpvet.TimerKeepalive, Expires: 7199340 * time.Millisecond, Retransmits: 9},
		"probe (0.20/3/9)":        {Kind: tcpvet.TimerPersist, Expires: 200 * time.Millisecond, Retransmits: 9},
		"timewait (59.24/0/0)":    {Kind: tcpvet.TimerTimeWait, Expires: 59240 * time.Millisecond},
		"on (-0.01/300/0)":        {Kind: tcpvet.TimerOn, Retransmits: 255},
	} {
		_, c := read(t, "tcp 0 0 10.0.0.1:1 10.0.0.2:80 ESTABLISHED "+text+"\n")
		if s := c.sockets[0]; s.Timer != want || !s.Knows(tcpvet.FactTimer) {
			t.Errorf("%s is %+v, known %v, not %+v", text, s.Timer, s.Known, want)
		}
	}
}

// TestMini tells an orphan in FIN-WAIT-2 from one that is held, by the timer or
// by the tcp_info that a mini-socket does not have.
func TestMini(t *testing.T) {
	const s = "FIN-WAIT-2 0 0 10.0.0.1:1 10.0.0.2:80"
	const e = "\nESTAB 0 0 10.0.0.1:2 10.0.0.2:80"
	for _, c := range []struct {
		name, text  string
		mini, known bool
	}{
		{"nothing told", s + e, false, false},
		{"its timer", s + " timer:(timewait,9sec,0)" + e, true, true},
		{"another timer", s + " timer:(keepalive,9sec,0)" + e, false, true},
		{"no timer, others have one", s + e + " timer:(keepalive,9sec,0)", false, true},
		{"no tcp_info, others have it", s + "\n\t" + e + "\n\t cwnd:10", true, true},
		{"tcp_info", s + "\n\t cwnd:10" + e + "\n\t cwnd:10", false, true},
		{"a process", s + ` users:(("a",pid=5,fd=3))` + "\n\t" + e + "\n\t cwnd:10", false, true},
		{"its tcp_info is damaged", s + "\n\t cwnd:x" + e + "\n\t cwnd:10", false, false},
		{"the text ends before its tcp_info", e[1:] + "\n\t cwnd:10\n" + s, false, false},
	} {
		d, err := Parse(strings.NewReader(c.text+"\n"), Options{Lenient: true})
		if err != nil {
			t.Fatal(err)
		}
		g := collect(t, d).byEnds()["10.0.0.1:1 10.0.0.2:80"]
		if g.Mini != c.mini || g.Knows(tcpvet.FactMini) != c.known {
			t.Errorf("%s: mini %v, known %v", c.name, g.Mini, g.Knows(tcpvet.FactMini))
		}
	}
}

func TestEach(t *testing.T) {
	ports := &tcpvet.Ports{Low: 40000, High: 50000}
	d, err := Parse(strings.NewReader(ssHead+"ESTAB 0 0 10.0.0.1:1 10.0.0.2:80\nLISTEN 0 5 127.0.0.1%lo:1 0.0.0.0:*\nESTAB 0 0 10.0.0.1%if7:2 10.0.0.2:80\n"), Options{Ports: ports})
	if err != nil {
		t.Fatal(err)
	}
	c := collect(t, d)
	if len(c.netns) != 1 || c.netns[0].Ports != ports || c.netns[0].ID != 0 || !d.Facts().Has(tcpvet.FactPortRange) {
		t.Errorf("the port range is not passed on: %v, %v", c.netns, d.Facts())
	}
	if got := [...]uint32{c.sockets[0].Interface, c.sockets[1].Interface, c.sockets[2].Interface}; got != [...]uint32{1, 0, 7} {
		t.Errorf("interfaces are %v", got)
	}
	some := &collector{t: t, comm: make(map[tcpvet.Process]string), facts: d.Facts()}
	if err := d.Each(some, tcpvet.SetOf(tcpvet.Listen)); err != nil || len(some.sockets) != 1 || some.sockets[0].State != tcpvet.Listen {
		t.Errorf("of listeners came %v, %v", briefs(some), err)
	}
	full := errors.New("full")
	stop := &stopping{collector: collector{t: t}, err: full}
	if err := d.Each(stop, 0); err != full || stop.n != 1 {
		t.Errorf("after the observer's error came %v and %d sockets", err, stop.n)
	}
}

type stopping struct {
	collector
	n   int
	err error
}

func (s *stopping) Socket(*tcpvet.Socket) error { s.n++; return s.err }
