package report

import (
	"bytes"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
)

func TestEventTallies(t *testing.T) {
	var c tcpvet.EventCounts
	c.Changes[tcpvet.SynSent][tcpvet.Established] = 12
	c.Changes[tcpvet.SynRecv][tcpvet.Established] = 3
	c.Closed[tcpvet.HowFIN][tcpvet.CloserLocal] = 4
	c.Closed[tcpvet.HowRST][tcpvet.CloserRemote] = 5
	c.Closed[tcpvet.HowTimeout][tcpvet.CloserUnknown] = 1
	c.Closed[tcpvet.HowFIN][tcpvet.CloserBoth] = 2
	c.Failed[tcpvet.FailedNoAddress], c.Failed[tcpvet.FailedGivenUp] = 7, 1
	var b bytes.Buffer
	l := NewEventTallies(&b, nil)
	l.Head()
	for _, err := range []error{l.Add(eventAt, &tcpvet.EventCounts{}), l.Add(eventAt, &c), l.Total(90*time.Second, &c)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	want := `
Time        Connected  Accepted  Failed  FIN  RST  Timeout  Local first  Remote first  Both  Failed by
13:42:37            0         0       0    0    0        0            0             0     0  -
13:42:37           12         3       8    6    5        1            4             5     2  no-address 7 given-up 1
1 min 30 s         12         3       8    6    5        1            4             5     2  no-address 7 given-up 1
`
	if want = want[1:]; b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}
