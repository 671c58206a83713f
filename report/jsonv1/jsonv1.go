// Package jsonv1 is the JSON contract, version 1: the shapes that programs
// read, converted by hand from the vocabulary and back. docs/json.md describes
// them. Absent is null; units are in the names.
package jsonv1

import (
	"encoding/json"
	"math"
	"net/netip"
	"strconv"
	"time"

	"github.com/tcpvet/tcpvet"
)

// The schemas.
const (
	CountSchema     = "tcpvet/count/v1"
	SocketSchema    = "tcpvet/socket/v1"
	DiagnosisSchema = "tcpvet/diagnosis/v1"
	BudgetSchema    = "tcpvet/budget/v1"
	SnapshotSchema  = "tcpvet/snapshot/v1"
)

// Other is the word for what was folded.
const Other = "other"

// Process is a process.
type Process struct {
	PID   int32  `json:"pid"`
	Comm  string `json:"comm"`
	Start uint64 `json:"start"` // clock ticks after boot
	Ended bool   `json:"ended,omitempty"`
}

// Former is a process that closed what nobody holds any more.
type Former struct {
	Process
	Held string `json:"held"` // remembered
}

// Container is a container.
type Container struct {
	ID      string  `json:"id"`
	Name    *string `json:"name"`
	Runtime *string `json:"runtime"`
	Pod     *string `json:"pod"`
}

// Netns is a network namespace.
type Netns struct {
	Inode *uint64  `json:"inode"`
	Names []string `json:"names"`
}

// Gap is a gap.
type Gap struct {
	What  string  `json:"what"`
	Where string  `json:"where"`
	Error string  `json:"error"`
	Needs *string `json:"needs"`
	Count int     `json:"count"`
}

// Lookup gives what is known of a process and of a namespace.
type Lookup struct {
	Process func(tcpvet.Process) (tcpvet.ProcessInfo, bool)
	Netns   func(tcpvet.NetnsID) (tcpvet.Netns, bool)
}

// InCensus looks processes and namespaces up in c.
func InCensus(c *tcpvet.Census) Lookup {
	return Lookup{
		Process: func(p tcpvet.Process) (tcpvet.ProcessInfo, bool) { i, ok := c.Processes[p]; return i, ok },
		Netns:   func(id tcpvet.NetnsID) (tcpvet.Netns, bool) { n, ok := c.Netns[id]; return n, ok },
	}
}

// ProcessOf gives the shape of p, nil where it is no process that was seen.
func (l Lookup) ProcessOf(p tcpvet.Process) *Process {
	if !p.Known() {
		return nil
	}
	info, _ := l.Process(p)
	return &Process{PID: p.PID, Comm: info.Comm, Start: p.Start, Ended: info.Ended}
}

// FormerOf gives the shape of a process that closed what nobody holds any more.
func (l Lookup) FormerOf(p tcpvet.Process) *Former {
	out := l.ProcessOf(p)
	if out == nil {
		return nil
	}
	return &Former{*out, heldBefore}
}

// ProcessesOf gives the shapes of all that are known, an empty list for none.
func (l Lookup) ProcessesOf(ps []tcpvet.Process) []Process {
	out := make([]Process, 0, len(ps))
	for _, p := range ps {
		if q := l.ProcessOf(p); q != nil {
			out = append(out, *q)
		}
	}
	return out
}

// ContainerOf gives the shape of the container that p runs in, nil for none.
func (l Lookup) ContainerOf(p tcpvet.Process) *Container {
	if !p.Known() {
		return nil
	}
	info, _ := l.Process(p)
	return ContainerOf(info.Container)
}

// NetnsOf gives the shape of a namespace.
func (l Lookup) NetnsOf(id tcpvet.NetnsID) Netns {
	n, _ := l.Netns(id)
	out := Netns{Names: n.Names}
	if id != 0 {
		inode := uint64(id)
		out.Inode = &inode
	}
	if out.Names == nil {
		out.Names = []string{}
	}
	return out
}

// ContainerOf gives the shape of a container, nil for none.
func ContainerOf(c *tcpvet.Container) *Container {
	if c == nil {
		return nil
	}
	return &Container{ID: c.ID, Name: text(c.Name), Runtime: text(c.Runtime), Pod: text(c.Pod)}
}

// Gaps gives the shapes of gaps, an empty list for none.
func Gaps(gaps []tcpvet.Gap) []Gap {
	out := make([]Gap, 0, len(gaps))
	for _, g := range gaps {
		out = append(out, Gap{What: g.What, Where: g.Where, Error: g.Err, Needs: text(g.Needs), Count: max(g.Count, 1)})
	}
	return out
}

// Endpoint gives "10.0.3.7:8080", "[::1]:80", or Other for the zero value.
func Endpoint(ap netip.AddrPort) string { return tcpvet.EndpointText(ap) }

// text gives nil for an empty string: the source had none.
func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func str(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// ms gives whole milliseconds.
func ms(d time.Duration) int64 { return d.Milliseconds() }

// Float is a number that prints without an exponent and without digits that
// mean nothing.
type Float float64

// MarshalJSON prints at most six decimals; what is no number prints as null.
func (f Float) MarshalJSON() ([]byte, error) {
	v := float64(f)
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return []byte("null"), nil
	}
	return strconv.AppendFloat(nil, math.Round(v*1e6)/1e6, 'f', -1, 64), nil
}

// Time gives a time in RFC 3339 with its zone, nil for the zero time: it is not
// known.
func Time(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := t.Format(time.RFC3339Nano)
	return &s
}

var _ json.Marshaler = Float(0)
