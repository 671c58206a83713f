package trace

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tcpvet/tcpvet"
)

var (
	goProgram    = tcpvet.Process{PID: 10, Start: 100}
	otherProgram = tcpvet.Process{PID: 20, Start: 200}
	foldStart    = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
)

// noPort is a connect() that found no port, some milliseconds after foldStart.
func noPort(p tcpvet.Process, at int) tcpvet.Event {
	return tcpvet.Event{
		Kind: tcpvet.EventFail, At: foldStart.Add(time.Duration(at) * time.Millisecond), Netns: 7, Process: p, KnownBy: tcpvet.ByTask,
		Local: netip.MustParseAddrPort("127.0.0.1:0"), Remote: netip.MustParseAddrPort("127.0.0.1:80"),
		Errno: errADDRNOTAVAIL, Cause: tcpvet.CausePortsExhausted, From: tcpvet.SynSent, To: tcpvet.Unconn, Cookie: uint64(at),
	}
}

// changed gives an event with a change.
func changed(e tcpvet.Event, change func(*tcpvet.Event)) tcpvet.Event {
	change(&e)
	return e
}

// folded keeps what a fold tells, as cookie:count.
func folded(told *[]string) *fold {
	return newFold(func(e *tcpvet.Event) error {
		*told = append(*told, fmt.Sprintf("%d:%d", e.Cookie, max(e.Count, 1)))
		return nil
	}, func(p tcpvet.Process) bool { return p == goProgram })
}

func TestFold(t *testing.T) {
	try := func(at int) tcpvet.Event { return noPort(goProgram, at) }
	with := func(at int, change func(*tcpvet.Event)) tcpvet.Event { return changed(try(at), change) }
	for _, test := range []struct {
		name   string
		events []tcpvet.Event
		want   []string // before the end, and after it
		end    []string
	}{
		{"one Dial", []tcpvet.Event{try(1), try(2), try(3)}, []string{"1:3"}, nil},
		{"two Dials", []tcpvet.Event{try(1), try(2), try(3), try(4), try(5), try(6)}, []string{"1:3", "4:3"}, nil},
		{"a try that got a port", []tcpvet.Event{try(1), try(2)}, nil, []string{"1:2"}},
		{"as long as it may take", []tcpvet.Event{try(1), try(100), try(201)}, []string{"1:3"}, nil},
		{"too long after", []tcpvet.Event{try(1), try(2), try(203)}, nil, []string{"1:2", "203:1"}},
		{"not Go", []tcpvet.Event{noPort(otherProgram, 1), noPort(otherProgram, 2), noPort(otherProgram, 3)}, nil, []string{"1:1", "2:1", "3:1"}},
		{"nobody knows who", []tcpvet.Event{
			with(1, func(e *tcpvet.Event) { e.Process = tcpvet.Nobody }), with(2, func(e *tcpvet.Event) { e.Process = tcpvet.Nobody }),
		}, nil, []string{"1:1", "2:1"}},
		{"another remote", []tcpvet.Event{
			try(1), with(2, func(e *tcpvet.Event) { e.Remote = netip.MustParseAddrPort("127.0.0.1:81") }), try(3), try(4),
		}, []string{"1:3"}, []string{"2:1"}},
		{"another source", []tcpvet.Event{
			try(1), with(2, func(e *tcpvet.Event) { e.Local = netip.MustParseAddrPort("127.0.0.2:0") }), try(3), try(4),
		}, []string{"1:3"}, []string{"2:1"}},
		{"another namespace", []tcpvet.Event{
			try(1), with(2, func(e *tcpvet.Event) { e.Netns = 8 }), try(3), try(4),
		}, []string{"1:3"}, []string{"2:1"}},
		{"another cause", []tcpvet.Event{
			try(1), with(2, func(e *tcpvet.Event) { e.Cause, e.From = tcpvet.CauseNoSourceAddress, 0 }), try(3), try(4),
		}, []string{"1:3"}, []string{"2:1"}},
		{"a port of its own, which Go tries once", []tcpvet.Event{
			with(1, func(e *tcpvet.Event) { e.Local = netip.MustParseAddrPort("127.0.0.1:5") }),
			with(2, func(e *tcpvet.Event) { e.Local = netip.MustParseAddrPort("127.0.0.1:5") }),
		}, nil, []string{"1:1", "2:1"}},
		{"another errno", []tcpvet.Event{
			with(1, func(e *tcpvet.Event) { e.Errno, e.From = errNETUNREACH, 0 }), with(2, func(e *tcpvet.Event) { e.Errno, e.From = errNETUNREACH, 0 }),
		}, []string{"1:1", "2:1"}, nil},
		{"no connect()", []tcpvet.Event{
			with(1, func(e *tcpvet.Event) { e.Call = tcpvet.CallBind }), with(2, func(e *tcpvet.Event) { e.Call = tcpvet.CallBind }),
		}, []string{"1:1", "2:1"}, nil},
		{"other events pass", []tcpvet.Event{
			try(1), with(2, func(e *tcpvet.Event) { e.Kind = tcpvet.EventOpen }), try(3), with(4, func(e *tcpvet.Event) { e.Kind = tcpvet.EventClose }), try(5),
		}, []string{"2:1", "4:1", "1:3"}, nil},
		{"closed while pending, by a process that is known by its cookie", []tcpvet.Event{
			with(1, func(e *tcpvet.Event) { e.Errno, e.KnownBy = 0, tcpvet.ByCookie }),
		}, []string{"1:1"}, nil},
		{"a call that changed no state, of a program that tries once", []tcpvet.Event{
			changed(noPort(otherProgram, 1), func(e *tcpvet.Event) { e.From = 0 }),
		}, []string{"1:1"}, nil},
		{"refused passes", []tcpvet.Event{
			with(1, func(e *tcpvet.Event) { e.Errno = errCONNREFUSED }),
		}, []string{"1:1"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var told []string
			f := folded(&told)
			for i := range test.events {
				if err := f.add(&test.events[i]); err != nil {
					t.Fatal(err)
				}
			}
			if !slices.Equal(told, test.want) {
				t.Errorf("told %v, want %v", told, test.want)
			}
			told = nil
			if err := f.flush(); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(told, test.end) {
				t.Errorf("at the end %v, want %v", told, test.end)
			}
		})
	}
}

// What is kept back is told once nothing can come to it any more, and never later
// than when there is no room.
func TestFoldIdle(t *testing.T) {
	var told []string
	f := folded(&told)
	at := func(d time.Duration) time.Time { return foldStart.Add(d) }
	step := func(what string, err error, want ...string) {
		t.Helper()
		if err != nil || !slices.Equal(told, want) {
			t.Errorf("%s: told %v, %v; want %v", what, told, err, want)
		}
		told = nil
	}
	one, other := noPort(goProgram, 1), noPort(otherProgram, 2)
	step("the first try", f.add(&one))
	step("that of a program that tries once", f.add(&other))
	step("at once", f.idle(at(2*time.Millisecond)))
	step("when the other's call has ended", f.idle(at(2*time.Millisecond+amendWithin)), "2:1")
	step("just before", f.idle(at(foldWithin)))
	step("after", f.idle(at(time.Millisecond+foldWithin)), "1:1")
	step("nothing is left", f.flush())

	for i := range mostHeld + 1 {
		e := noPort(goProgram, i)
		e.Remote = netip.AddrPortFrom(e.Remote.Addr(), uint16(i+1))
		if err := f.add(&e); err != nil {
			t.Fatal(err)
		}
	}
	step("one too many", nil, "0:1")
}

func TestFoldAmend(t *testing.T) {
	var got tcpvet.Event
	f := newFold(func(e *tcpvet.Event) error { got = *e; return nil }, func(tcpvet.Process) bool { return false })
	for _, test := range []struct {
		name   string
		event  tcpvet.Event
		cookie uint64
		errno  int
		want   tcpvet.Cause
	}{
		{"closed while pending, it seemed", changed(noPort(otherProgram, 5), func(e *tcpvet.Event) { e.Errno, e.Cause = 0, 0 }), 5, errHOSTUNREACH, tcpvet.CauseNoRoute},
		{"no port, it seemed", noPort(otherProgram, 5), 5, errNETUNREACH, tcpvet.CauseNoRoute},
		{"another socket", noPort(otherProgram, 5), 6, errADDRNOTAVAIL, tcpvet.CausePortsExhausted},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := f.add(&test.event); err != nil {
				t.Fatal(err)
			}
			f.amend(test.cookie, test.errno)
			if err := f.flush(); err != nil {
				t.Fatal(err)
			}
			if got.Errno != test.errno || got.Cause != test.want {
				t.Errorf("errno %d, %s; want %d, %s", got.Errno, got.Cause, test.errno, test.want)
			}
		})
	}
}

// An amended failure is no try of the same any more, and one that stands for several
// is not amended: they had an errno each.
func TestFoldAmendTries(t *testing.T) {
	var told []string
	f := newFold(func(e *tcpvet.Event) error {
		told = append(told, fmt.Sprintf("%d:%d:%d", e.Cookie, max(e.Count, 1), e.Errno))
		return nil
	}, func(tcpvet.Process) bool { return true })
	add := func(at int, cookie uint64) {
		t.Helper()
		e := changed(noPort(goProgram, at), func(e *tcpvet.Event) { e.Cookie = cookie })
		if err := f.add(&e); err != nil {
			t.Fatal(err)
		}
	}
	add(1, 1)
	f.amend(1, errHOSTUNREACH)
	add(2, 1) // the same socket again
	f.amend(1, errNETUNREACH)
	add(3, 2)
	add(4, 3)
	f.amend(2, errHOSTUNREACH)
	if err := f.flush(); err != nil {
		t.Fatal(err)
	}
	if want := []string{"1:1:113", "1:1:101", "2:2:99"}; !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
}

// A tracer writes the next event where the last one was.
func TestFoldKeepsNothing(t *testing.T) {
	e := noPort(goProgram, 1)
	e.Stack = []tcpvet.Frame{{Address: 1}}
	f := newFold(func(got *tcpvet.Event) error {
		if got.Cookie != 1 || len(got.Stack) != 1 || got.Stack[0].Address != 1 {
			t.Errorf("told %+v", got)
		}
		return nil
	}, func(tcpvet.Process) bool { return true })
	if err := f.add(&e); err != nil {
		t.Fatal(err)
	}
	e.Cookie, e.Stack[0].Address = 2, 2
	if err := f.flush(); err != nil {
		t.Fatal(err)
	}
}

func TestFoldError(t *testing.T) {
	broken := errors.New("broken pipe")
	f := newFold(func(*tcpvet.Event) error { return broken }, func(tcpvet.Process) bool { return true })
	for i, want := range []error{nil, nil, broken} {
		e := noPort(goProgram, i)
		if err := f.add(&e); !errors.Is(err, want) {
			t.Errorf("try %d: %v, want %v", i, err, want)
		}
	}
}

func TestFoldAllocates(t *testing.T) {
	f := newFold(func(*tcpvet.Event) error { return nil }, func(p tcpvet.Process) bool { return p == goProgram })
	events := []tcpvet.Event{noPort(goProgram, 1), noPort(goProgram, 2), noPort(goProgram, 3), noPort(otherProgram, 4),
		changed(noPort(otherProgram, 5), func(e *tcpvet.Event) { e.Kind = tcpvet.EventClose })}
	if n := testing.AllocsPerRun(100, func() {
		for i := range events {
			f.add(&events[i])
		}
		f.idle(foldStart.Add(time.Hour))
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Whatever comes, nothing is lost or told twice, what is folded is alike, and n tries
// of one kind with no pause are told as n/3, rounded up.
func TestFoldAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type key struct {
			p      tcpvet.Process
			remote netip.AddrPort
			kind   tcpvet.EventKind
		}
		in, out, events := map[key]uint64{}, map[key]uint64{}, map[key]uint64{}
		var last time.Time
		f := newFold(func(e *tcpvet.Event) error {
			k := key{e.Process, e.Remote, e.Kind}
			out[k] += max(e.Count, 1)
			events[k]++
			if e.Count > dialTries || e.Count > 1 && (e.Process != goProgram || e.Kind != tcpvet.EventFail) {
				t.Fatalf("told with count %d: %+v", e.Count, e)
			}
			return nil
		}, func(p tcpvet.Process) bool { return p == goProgram })
		for i := range rapid.IntRange(0, 60).Draw(t, "events") {
			e := noPort(rapid.SampledFrom([]tcpvet.Process{goProgram, otherProgram}).Draw(t, "process"), i)
			e.Remote = netip.AddrPortFrom(e.Remote.Addr(), rapid.Uint16Range(80, 82).Draw(t, "port"))
			e.Kind = rapid.SampledFrom([]tcpvet.EventKind{tcpvet.EventFail, tcpvet.EventFail, tcpvet.EventOpen}).Draw(t, "kind")
			in[key{e.Process, e.Remote, e.Kind}]++
			last = e.At
			if err := f.add(&e); err != nil {
				t.Fatal(err)
			}
			if rapid.Bool().Draw(t, "idle") {
				f.idle(last) // no later than foldWithin after any
			}
		}
		if err := f.flush(); err != nil {
			t.Fatal(err)
		}
		for k, n := range in {
			want := n
			if k.p == goProgram && k.kind == tcpvet.EventFail {
				want = (n + dialTries - 1) / dialTries
			}
			if out[k] != n || events[k] != want {
				t.Fatalf("%+v: %d came, told %d in %d events, want %d", k, n, out[k], events[k], want)
			}
		}
	})
}
