package remedy

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
)

func anySocket(*tcpvet.Socket, func(tcpvet.Process) tcpvet.ProcessInfo) bool { return true }

func TestCloseOptions(t *testing.T) {
	narrow := Selection{Match: anySocket}
	for name, c := range map[string]struct {
		opt   CloseOptions
		want  error // nil for one that has no sentinel, where says is set
		says  string
		state tcpvet.StateSet
	}{
		"unused states":  {opt: CloseOptions{Selection: narrow}, state: 1<<8 | 1<<6},
		"named":          {opt: CloseOptions{Selection: narrow, States: 1<<1 | 1<<8}, state: 1<<1 | 1<<8},
		"everything":     {opt: CloseOptions{}, want: ErrEverything, says: "--all"},
		"a state only":   {opt: CloseOptions{States: 1 << 8}, want: ErrEverything, says: "--all"},
		"all is meant":   {opt: CloseOptions{All: true}, state: 1<<8 | 1<<6},
		"listeners":      {opt: CloseOptions{Selection: narrow, States: 1<<10 | 1<<8}, want: ErrNeverClosed, says: "LISTEN"},
		"bound":          {opt: CloseOptions{Selection: narrow, States: 1 << 13}, want: ErrNeverClosed, says: "BOUND-INACTIVE"},
		"closed":         {opt: CloseOptions{Selection: narrow, States: 1 << 7}, want: ErrNeverClosed, says: "UNCONN"},
		"negative age":   {opt: CloseOptions{Selection: narrow, OlderThan: -1}, says: "age of -1ns"},
		"negative limit": {opt: CloseOptions{Selection: narrow, Max: -1}, says: "limit of -1"},
	} {
		states, err := c.opt.check()
		switch {
		case c.says == "" && (err != nil || states != c.state):
			t.Errorf("%s: %b, %v", name, states, err)
		case c.says != "" && (err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%s: %v", name, err)
		}
	}
}

// aged is a socket in CLOSE-WAIT whose FIN came so long ago, or between these.
func aged(low, high time.Duration) tcpvet.Socket {
	return tcpvet.Socket{
		Known: tcpvet.FactCookie | tcpvet.FactInfo, State: tcpvet.CloseWait, Cookie: 5,
		Info: tcpvet.TCPInfo{LastAckRecv: low, LastDataRecv: high, LastDataSent: 0},
	}
}

func TestCloseJudge(t *testing.T) {
	const self = 77
	least, most := aged(5*time.Minute, 5*time.Minute), aged(5*time.Minute+time.Millisecond, 5*time.Minute+time.Millisecond)
	timeWait := tcpvet.Socket{Known: tcpvet.FactCookie | tcpvet.FactTimer, State: tcpvet.TimeWait, Cookie: 5, Timer: tcpvet.Timer{Kind: tcpvet.TimerTimeWait}}
	late := timeWait
	timeWait.Timer.Expires, late.Timer.Expires = 50*time.Second, 50*time.Second-time.Millisecond
	finWait := tcpvet.Socket{Known: tcpvet.FactCookie | tcpvet.FactInfo | tcpvet.FactTimer, State: tcpvet.FinWait2, Cookie: 5}
	nameless, cookieless := most, most
	nameless.Known, cookieless.Cookie = tcpvet.FactInfo, 0
	mine, inherited := most, most
	mine.Holder.PID = self
	inherited.Holder.PID, inherited.SharedWith = 1, []tcpvet.Process{{PID: 2}, {PID: self}}
	for name, c := range map[string]struct {
		s     tcpvet.Socket
		older time.Duration
		want  spared
	}{
		"no age asked":      {finWait, 0, notSpared},
		"just not older":    {least, 5 * time.Minute, sparedYoung},
		"just older":        {most, 5 * time.Minute, notSpared},
		"perhaps":           {aged(time.Minute, time.Hour), 5 * time.Minute, sparedMaybe},
		"surely":            {aged(6*time.Minute, time.Hour), 5 * time.Minute, notSpared},
		"surely not":        {aged(time.Minute, 5*time.Minute), 5 * time.Minute, sparedYoung},
		"TIME-WAIT of 10 s": {timeWait, 10 * time.Second, sparedYoung},
		"and a little more": {late, 10 * time.Second, notSpared},
		"nobody knows":      {finWait, time.Second, sparedAgeless},
		"without cookies":   {nameless, 0, sparedNoName},
		"without a cookie":  {cookieless, 0, sparedNoName},
		"one's own":         {mine, 0, sparedOwn},
		"one's own too":     {inherited, 0, sparedOwn},
	} {
		opt := CloseOptions{OlderThan: c.older}
		if got := opt.judge(&c.s, self); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

func TestCloseRisk(t *testing.T) {
	for states, want := range map[tcpvet.StateSet]tcpvet.Risk{
		1 << 8: tcpvet.ChangesProcess, 1 << 6: tcpvet.ChangesProcess, 1<<8 | 1<<6: tcpvet.ChangesProcess,
		1<<8 | 1<<1: tcpvet.DropsConnections, 1 << 3: tcpvet.DropsConnections,
	} {
		if got := closeRisk(states); got != want {
			t.Errorf("%b: %s, want %s", states, got, want)
		}
	}
}

// Each state has its sentence, and a plan without sockets has none.
func TestCloseNotes(t *testing.T) {
	var none closeCensus
	if notes := none.notes(abruptClose{}); notes != nil {
		t.Errorf("%q", notes)
	}
	for state, says := range map[tcpvet.State]string{
		tcpvet.CloseWait: "frees ports, not descriptors", tcpvet.TimeWait: "RFC 9293, section 3.6.1", tcpvet.SynSent: "connect()",
		tcpvet.SynRecv: "flood", tcpvet.Established: "in use", tcpvet.FinWait1: "being closed", tcpvet.FinWait2: "being closed",
		tcpvet.LastAck: "being closed", tcpvet.Closing: "being closed",
	} {
		var n closeCensus
		n.add(&tcpvet.Socket{State: state})
		notes := n.notes(abruptClose{})
		if !strings.Contains(strings.Join(notes, " "), says) || notes[len(notes)-1] != "It cannot be undone." {
			t.Errorf("%s: %q", state, notes)
		}
	}
	var n closeCensus
	n.add(&tcpvet.Socket{State: tcpvet.CloseWait, Known: tcpvet.FactQueues, SendQ: 1, Inode: 3})
	n.add(&tcpvet.Socket{State: tcpvet.CloseWait, Known: tcpvet.FactQueues, Inode: 4})
	n.add(&tcpvet.Socket{State: tcpvet.Established, Inode: 5})
	text := strings.Join(n.notes(abruptClose{deadly: 1, programs: []string{"cat[7]"}, other: 1}), "\n")
	for _, says := range []string{"1 of those in CLOSE-WAIT have sent", "(cat[7])", "1 of those in CLOSE-WAIT are destroyed and not shut down, because their descriptors", "hold 1 of these"} {
		if !strings.Contains(text, says) {
			t.Errorf("%q is missing in\n%s", says, text)
		}
	}
	left := sparedNotes([numSpared]int{sparedOwn: 1, sparedNoName: 2, sparedYoung: 3, sparedMaybe: 4, sparedAgeless: 5, notSpared: 9}, time.Minute)
	if len(left) != 5 || !strings.HasPrefix(left[2], "Left alone: 3 that are not older than 1 min") {
		t.Errorf("%q", left)
	}
}
