package jsonv1

import (
	"encoding/json"
	"net/netip"
	"strconv"
	"time"

	"github.com/tcpvet/tcpvet"
)

// EventSchema names the lines of trace.
const EventSchema = "tcpvet/event/v1"

// Event is a line of tcpvet/event/v1.
type Event struct {
	Schema         string       `json:"schema"`
	Kind           string       `json:"kind"`
	At             *string      `json:"at"`
	Netns          Netns        `json:"netns"`
	Cookie         *uint64      `json:"cookie"`
	Process        *Process     `json:"process"`
	ProcessKnownBy string       `json:"process_known_by"` // task, cookie, none
	Container      *Container   `json:"container"`
	Role           string       `json:"role"`
	Local          *string      `json:"local"`
	Remote         *string      `json:"remote"`
	Call           *string      `json:"call"` // of a fail: connect, bind, socket, accept
	Errno          *int         `json:"errno"`
	Cause          *string      `json:"cause"`
	SYNs           *uint8       `json:"syns"`
	From           *string      `json:"from"`
	To             *string      `json:"to"`
	MS             *json.Number `json:"ms"`
	First          *string      `json:"first"`
	How            *string      `json:"how"`
	CloseWaitMS    *json.Number `json:"close_wait_ms"`
	Stack          []Frame      `json:"stack"`
	Count          uint64       `json:"count"`
}

// EventOf gives the shape of e.
func (l Lookup) EventOf(e *tcpvet.Event) Event {
	out := Event{
		Schema: EventSchema, Kind: e.Kind.String(), At: Time(e.At), Netns: l.NetnsOf(e.Netns),
		ProcessKnownBy: knownBy(e).String(), Role: e.Role.String(),
		Local: endpointOf(e.Local), Remote: endpointOf(e.Remote),
		Cause: text(e.Cause.String()), From: stateOf(e.From), To: stateOf(e.To),
		MS: spanOf(timed(e), e.Took), CloseWaitMS: spanOf(waited(e), e.CloseWait),
		First: text(e.First.String()), How: text(e.How.String()),
		Stack: FramesOf(e.Stack), Count: max(e.Count, 1),
	}
	if e.Cookie != 0 {
		out.Cookie = &e.Cookie
	}
	if e.Process.Known() {
		out.Process = &Process{PID: e.Process.PID, Comm: e.Comm, Start: e.Process.Start}
		out.Container = ContainerOf(e.Container)
	}
	if e.Kind == tcpvet.EventFail {
		out.Call = text(e.Call.Name())
		if e.Errno != 0 {
			out.Errno = &e.Errno
		}
		if e.SYNs != 0 {
			out.SYNs = &e.SYNs
		}
	}
	return out
}

// AppendEvent appends the line of e, without its end. It is what encoding/json
// makes of EventOf without escapes for HTML, and allocates nothing but what b has to
// grow by.
func (l Lookup) AppendEvent(b []byte, e *tcpvet.Event) []byte {
	b = append(b, `{"schema":"`+EventSchema+`","kind":"`...)
	b = append(b, e.Kind.String()...)
	b = append(b, `","at":`...)
	if e.At.IsZero() {
		b = append(b, "null"...)
	} else {
		b = append(b, '"')
		b = e.At.AppendFormat(b, time.RFC3339Nano)
		b = append(b, '"')
	}
	b = l.appendNetns(append(b, `,"netns":`...), e.Netns)
	b = fact(b, `,"cookie":`, e.Cookie != 0, e.Cookie)
	b = appendEventProcess(append(b, `,"process":`...), e)
	b = append(b, `,"role":"`...)
	b = append(b, e.Role.String()...)
	b = appendEndpoint(append(b, `","local":`...), e.Local)
	b = appendEndpoint(append(b, `,"remote":`...), e.Remote)
	b = appendFailure(b, e)
	b = word(append(b, `,"from":`...), stateWord(e.From))
	b = word(append(b, `,"to":`...), stateWord(e.To))
	b = appendMSIf(append(b, `,"ms":`...), timed(e), e.Took)
	b = word(append(b, `,"first":`...), e.First.String())
	b = word(append(b, `,"how":`...), e.How.String())
	b = appendMSIf(append(b, `,"close_wait_ms":`...), waited(e), e.CloseWait)
	b = appendStack(append(b, `,"stack":`...), e.Stack)
	b = number(append(b, `,"count":`...), max(e.Count, 1))
	return append(b, '}')
}

func appendEventProcess(b []byte, e *tcpvet.Event) []byte {
	if !e.Process.Known() {
		return append(b, `null,"process_known_by":"none","container":null`...)
	}
	b = number(append(b, `{"pid":`...), e.Process.PID)
	b = appendText(append(b, `,"comm":`...), e.Comm)
	b = number(append(b, `,"start":`...), e.Process.Start)
	b = append(b, `},"process_known_by":"`...)
	b = append(b, e.KnownBy.String()...)
	return appendContainerOf(append(b, `","container":`...), e.Container)
}

func appendFailure(b []byte, e *tcpvet.Event) []byte {
	if e.Kind != tcpvet.EventFail {
		b = word(append(b, `,"call":null,"errno":null,"cause":`...), e.Cause.String())
		return append(b, `,"syns":null`...)
	}
	b = word(append(b, `,"call":`...), e.Call.Name())
	b = append(b, `,"errno":`...)
	if e.Errno != 0 {
		b = strconv.AppendInt(b, int64(e.Errno), 10)
	} else {
		b = append(b, "null"...)
	}
	b = word(append(b, `,"cause":`...), e.Cause.String())
	return fact(b, `,"syns":`, e.SYNs != 0, uint32(e.SYNs))
}

// knownBy is how the process is known: not at all, where the reader has no number
// for it.
func knownBy(e *tcpvet.Event) tcpvet.KnownBy {
	if !e.Process.Known() {
		return tcpvet.ByNothing
	}
	return e.KnownBy
}

// timed tells whether Took is known, and waited whether the end was in CLOSE-WAIT,
// and for how long.
func timed(e *tcpvet.Event) bool  { return e.Kind != tcpvet.EventLost && e.Took >= 0 }
func waited(e *tcpvet.Event) bool { return e.Kind == tcpvet.EventClose && e.CloseWait > 0 }

func spanOf(known bool, d time.Duration) *json.Number {
	if !known {
		return nil
	}
	n := json.Number(appendMS(nil, d))
	return &n
}

func appendMSIf(b []byte, known bool, d time.Duration) []byte {
	if !known {
		return append(b, "null"...)
	}
	return appendMS(b, d)
}

// stateWord gives ss's word for a state, "" where it is not known.
func stateWord(s tcpvet.State) string {
	if s == 0 {
		return ""
	}
	return s.String()
}

func stateOf(s tcpvet.State) *string { return text(stateWord(s)) }

func endpointOf(ap netip.AddrPort) *string {
	if !ap.IsValid() {
		return nil
	}
	return text(Endpoint(ap))
}

// word appends a word of a vocabulary, which needs no escapes; null for "".
func word(b []byte, s string) []byte {
	if s == "" {
		return append(b, "null"...)
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}
