package tcpvet_test

import (
	"testing"

	"github.com/tcpvet/tcpvet"
)

func TestEventCounts(t *testing.T) {
	var before tcpvet.EventCounts
	before.Changes[tcpvet.SynSent][tcpvet.Established] = 5
	before.Changes[tcpvet.SynRecv][tcpvet.Established] = 7
	before.Closed[tcpvet.HowFIN][tcpvet.CloserLocal] = 3
	before.Closed[tcpvet.HowFIN][tcpvet.CloserRemote] = 2
	before.Closed[tcpvet.HowRST][tcpvet.CloserRemote] = 10
	before.Failed[tcpvet.FailedRefused], before.Failed[tcpvet.FailedOther] = 4, 1
	for _, test := range []struct {
		name      string
		got, want uint64
	}{
		{"connected", before.Connected(), 5}, {"accepted", before.Accepted(), 7}, {"failures", before.Failures(), 5},
		{"by FIN", before.ClosedHow(tcpvet.HowFIN), 5}, {"by RST", before.ClosedHow(tcpvet.HowRST), 10}, {"by timeout", before.ClosedHow(tcpvet.HowTimeout), 0},
		{"local first", before.ClosedBy(tcpvet.CloserLocal), 3}, {"remote first", before.ClosedBy(tcpvet.CloserRemote), 12}, {"both", before.ClosedBy(tcpvet.CloserBoth), 0},
	} {
		if test.got != test.want {
			t.Errorf("%s: %d, want %d", test.name, test.got, test.want)
		}
	}
	now := before
	now.Changes[tcpvet.SynRecv][tcpvet.Established]++
	now.Closed[tcpvet.HowRST][tcpvet.CloserRemote] += 2
	now.Failed[tcpvet.FailedGivenUp] = 9
	before.Missed, now.Missed = 5, 8
	var want tcpvet.EventCounts
	want.Changes[tcpvet.SynRecv][tcpvet.Established] = 1
	want.Closed[tcpvet.HowRST][tcpvet.CloserRemote] = 2
	want.Failed[tcpvet.FailedGivenUp] = 9
	want.Missed = 3
	if got := now.Since(&before); got != want {
		t.Errorf("since: %+v", got)
	}
}
