package trace

import (
	"testing"

	"github.com/tcpvet/tcpvet"
)

// A record without a process has the one that another record of its socket tells, or
// a pass that came since the batch before.
func TestBatch(t *testing.T) {
	const a, b, c, d, e = 1, 2, 3, 4, 5
	wget := tcpvet.Process{PID: 42, Start: 7}
	add := func(batch *batch, cookie uint64, pid int32) {
		l := layout{Cookie: cookie, Kinds: uint8(Opens)}
		if pid != 0 {
			l.PID, l.Start, l.KnownBy, l.Comm = pid, 7, uint8(tcpvet.ByTask), [16]byte{'w'}
		}
		batch.records = append(batch.records, l.bytes(t)...)
	}
	named := func(batch *batch) (all []tcpvet.Event) {
		for at := 0; at < len(batch.records); at += recordLen {
			var r record
			must(t, decodeRecord(batch.records[at:at+recordLen], &r))
			batch.name(&r)
			if (r.event.Process == wget) != (r.comm[0] == 'w') {
				t.Errorf("%v is named %q", r.event.Process, r.comm)
			}
			all = append(all, r.event)
		}
		return all
	}
	check := func(what string, batch *batch, want ...tcpvet.KnownBy) {
		t.Helper()
		for i, e := range named(batch) {
			if known := e.Process == wget; e.KnownBy != want[i] || known != (want[i] != tcpvet.ByNothing) {
				t.Errorf("%s: record %d: %v, known by %v, want %v", what, i, e.Process, e.KnownBy, want[i])
			}
		}
	}
	none, task, cookie := tcpvet.ByNothing, tcpvet.ByTask, tcpvet.ByCookie

	x := newBatch()
	add(x, a, 0)
	add(x, b, 42)
	add(x, a, 42)
	add(x, c, 0)
	add(x, d, 0)
	add(x, 0, 0) // a call that made no socket
	if n := x.learn(); n != 2 {
		t.Errorf("%d sockets lack a process, want 2", n)
	}
	x.adopted[c] = holder{wget, [16]byte{'w'}}
	check("one batch", x, cookie, task, task, cookie, none, none)

	// What a pass told is good for the next batch too, and then no more.
	x.adopted[e] = holder{wget, [16]byte{'w'}}
	x.end()
	for round, want := range []tcpvet.KnownBy{cookie, none} {
		add(x, e, 0)
		if n := x.learn(); n != 1 {
			t.Errorf("round %d: %d sockets lack a process, want 1", round, n)
		}
		check("a later batch", x, want)
		x.end()
	}
	// An unseen process stays that.
	add(x, a, -1)
	copy(x.records[40:48], make([]byte, 8)) // it has no start
	copy(x.records[56:72], make([]byte, 16))
	if n := x.learn(); n != 0 {
		t.Errorf("%d lack a process, want none", n)
	}
	if got := named(x)[0].Process; got != tcpvet.Unseen {
		t.Errorf("%v", got)
	}
}

func TestNames(t *testing.T) {
	n := newNames()
	for b, want := range map[[16]byte]string{
		{'n', 'g', 'i', 'n', 'x', 0, 'x'}:    "nginx",
		{}:                                   "",
		[16]byte([]byte("sixteen letters!")): "sixteen letters!",
	} {
		if got := n.comm(b); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for i := range 2 * mostRemembered {
		n.comm([16]byte{byte(i), byte(i >> 8), 'x'})
	}
	if len(n.comms) > mostRemembered {
		t.Errorf("%d names are remembered", len(n.comms))
	}
	if n.container(tcpvet.Unseen) != nil || len(n.containers) != 0 {
		t.Error("who is not seen was looked for")
	}
}
