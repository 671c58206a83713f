package jsonv1

import (
	"fmt"
	"net/netip"

	"github.com/tcpvet/tcpvet"
)

// SnapshotHeader is the first line of a snapshot.
type SnapshotHeader struct {
	Schema string   `json:"schema"`
	Kind   string   `json:"kind"` // header
	Taken  *string  `json:"taken"`
	Host   string   `json:"host"`
	Source string   `json:"source"`
	Facts  []string `json:"facts"`
	Self   uint64   `json:"self_netns"`
	Whole  bool     `json:"whole"` // every namespace was looked at
}

// The kinds of the lines of a snapshot that are no sockets.
const (
	KindHeader  = "header"
	KindHost    = "host"
	KindNetns   = "netns"
	KindProcess = "process"
	KindGap     = "gap"
	KindEnd     = "end"
)

// SnapshotHost is the line for the machine.
type SnapshotHost struct {
	Schema   string            `json:"schema"`
	Kind     string            `json:"kind"`
	Name     string            `json:"name"`
	Kernel   string            `json:"kernel"`
	Counters map[string]uint64 `json:"counters"`
	Settings []Setting         `json:"settings"`
}

// Setting is a line of a file of sysctl(8).
type Setting struct {
	File  string `json:"file"`
	Line  int    `json:"line"`
	Name  string `json:"name"`
	Value string `json:"value"`
}

// SnapshotNetns is a line for a namespace.
type SnapshotNetns struct {
	Schema    string            `json:"schema"`
	Kind      string            `json:"kind"`
	Inode     uint64            `json:"inode"`
	Names     []string          `json:"names"`
	Sysctls   map[string]string `json:"sysctls"`
	Counters  map[string]uint64 `json:"counters"`
	Addresses []Address         `json:"addresses"`
	Ports     *Ports            `json:"ports"`
}

// Address is an address of an interface.
type Address struct {
	Prefix     string `json:"prefix"`
	Interface  string `json:"interface"`
	Up         bool   `json:"up"`
	Tentative  bool   `json:"tentative"`
	Deprecated bool   `json:"deprecated"`
}

// Ports is a local port range.
type Ports struct {
	Low      uint16      `json:"low"`
	High     uint16      `json:"high"`
	Reserved [][2]uint16 `json:"reserved"`
}

// SnapshotProcess is a line for a process.
type SnapshotProcess struct {
	Schema          string     `json:"schema"`
	Kind            string     `json:"kind"`
	PID             int32      `json:"pid"`
	Start           uint64     `json:"start"`
	Comm            string     `json:"comm"`
	Args            []string   `json:"args"`
	Exe             string     `json:"exe"`
	UID             uint32     `json:"uid"`
	Container       *Container `json:"container"`
	Unit            string     `json:"unit"`
	Netns           uint64     `json:"netns"`
	Descriptors     uint64     `json:"descriptors"`
	Sockets         uint64     `json:"sockets"`
	DescriptorLimit uint64     `json:"descriptor_limit"`
	LeaderExited    bool       `json:"leader_exited"`
	Ended           bool       `json:"ended,omitempty"`
	Tableless       *Tableless `json:"tableless"`
	Localhost       []string   `json:"localhost"`
}

// Tableless counts descriptors of TCP sockets that are in no table.
type Tableless struct {
	Used    uint64 `json:"used"`
	Quiet   uint64 `json:"quiet"`
	Unasked uint64 `json:"unasked"`
	Inode   uint64 `json:"inode"`
}

// SnapshotGap is a line for a gap.
type SnapshotGap struct {
	Schema string `json:"schema"`
	Kind   string `json:"kind"`
	Netns  uint64 `json:"netns"`
	Gap
}

// SnapshotEnd is the last line: without it the file was cut.
type SnapshotEnd struct {
	Schema  string `json:"schema"`
	Kind    string `json:"kind"`
	Sockets uint64 `json:"sockets"`
	Changed uint64 `json:"changed"`
}

// SnapshotNetnsOf gives the line of a namespace.
func SnapshotNetnsOf(n *tcpvet.Netns) SnapshotNetns {
	out := SnapshotNetns{
		Schema: SnapshotSchema, Kind: KindNetns, Inode: uint64(n.ID), Names: n.Names, Sysctls: n.Sysctls, Counters: n.Counters,
	}
	if n.Addresses != nil {
		out.Addresses = make([]Address, 0, len(n.Addresses)) // none, and not unread
	}
	for _, a := range n.Addresses {
		out.Addresses = append(out.Addresses, Address{a.Prefix.String(), a.Interface, a.Up, a.Tentative, a.Deprecated})
	}
	if n.Ports != nil {
		out.Ports = &Ports{Low: n.Ports.Low, High: n.Ports.High, Reserved: [][2]uint16{}}
		for low, high := range n.Ports.Reserved.Spans {
			out.Ports.Reserved = append(out.Ports.Reserved, [2]uint16{low, high})
		}
	}
	return out
}

// Netns gives the vocabulary's value of the line.
func (j *SnapshotNetns) Netns() (tcpvet.Netns, error) {
	n := tcpvet.Netns{ID: tcpvet.NetnsID(j.Inode), Names: j.Names, Sysctls: j.Sysctls, Counters: j.Counters}
	if j.Addresses != nil {
		n.Addresses = make([]tcpvet.Address, 0, len(j.Addresses))
	}
	for _, a := range j.Addresses {
		p, err := netip.ParsePrefix(a.Prefix)
		if err != nil {
			return n, fmt.Errorf("parse address of namespace %d: %w", j.Inode, err)
		}
		n.Addresses = append(n.Addresses, tcpvet.Address{
			Prefix: p, Interface: a.Interface, Up: a.Up, Tentative: a.Tentative, Deprecated: a.Deprecated,
		})
	}
	if j.Ports != nil {
		n.Ports = &tcpvet.Ports{Low: j.Ports.Low, High: j.Ports.High}
		for _, span := range j.Ports.Reserved {
			n.Ports.Reserved.Add(span[0], span[1])
		}
	}
	return n, nil
}

// SnapshotHostOf gives the line of the machine.
func SnapshotHostOf(h *tcpvet.Host) SnapshotHost {
	out := SnapshotHost{Schema: SnapshotSchema, Kind: KindHost, Name: h.Name, Kernel: h.Kernel, Counters: h.Counters}
	if h.Settings != nil {
		out.Settings = make([]Setting, 0, len(h.Settings))
	}
	for _, s := range h.Settings {
		out.Settings = append(out.Settings, Setting(s))
	}
	return out
}

// Host gives the vocabulary's value of the line.
func (j *SnapshotHost) Host() tcpvet.Host {
	h := tcpvet.Host{Name: j.Name, Kernel: j.Kernel, Counters: j.Counters}
	if j.Settings != nil {
		h.Settings = make([]tcpvet.Setting, 0, len(j.Settings))
	}
	for _, s := range j.Settings {
		h.Settings = append(h.Settings, tcpvet.Setting(s))
	}
	return h
}

// SnapshotProcessOf gives the line of a process.
func SnapshotProcessOf(p tcpvet.Process, i *tcpvet.ProcessInfo) SnapshotProcess {
	out := SnapshotProcess{
		Schema: SnapshotSchema, Kind: KindProcess, PID: p.PID, Start: p.Start, Comm: i.Comm, Args: i.Args, Exe: i.Exe, UID: i.UID,
		Container: ContainerOf(i.Container), Unit: i.Unit, Netns: uint64(i.Netns),
		Descriptors: i.Descriptors, Sockets: i.Sockets, DescriptorLimit: i.DescriptorLimit, LeaderExited: i.LeaderExited, Ended: i.Ended,
	}
	if i.Tableless != nil {
		t := Tableless(*i.Tableless)
		out.Tableless = &t
	}
	if i.Localhost != nil {
		out.Localhost = make([]string, 0, len(i.Localhost))
	}
	for _, a := range i.Localhost {
		out.Localhost = append(out.Localhost, a.String())
	}
	return out
}

// Process gives the vocabulary's value of the line.
func (j *SnapshotProcess) Process() (tcpvet.Process, tcpvet.ProcessInfo, error) {
	info := tcpvet.ProcessInfo{
		Comm: j.Comm, Args: j.Args, Exe: j.Exe, UID: j.UID, Unit: j.Unit, Netns: tcpvet.NetnsID(j.Netns),
		Descriptors: j.Descriptors, Sockets: j.Sockets, DescriptorLimit: j.DescriptorLimit, LeaderExited: j.LeaderExited, Ended: j.Ended,
	}
	if c := j.Container; c != nil {
		info.Container = &tcpvet.Container{ID: c.ID, Name: str(c.Name), Runtime: str(c.Runtime), Pod: str(c.Pod)}
	}
	if j.Tableless != nil {
		t := tcpvet.Tableless(*j.Tableless)
		info.Tableless = &t
	}
	p := tcpvet.Process{PID: j.PID, Start: j.Start}
	if j.Localhost != nil {
		info.Localhost = make([]netip.Addr, 0, len(j.Localhost))
	}
	for _, text := range j.Localhost {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return p, info, fmt.Errorf("parse an address of localhost of process %d: %w", j.PID, err)
		}
		info.Localhost = append(info.Localhost, a)
	}
	return p, info, nil
}

// SnapshotGapOf gives the line of a gap.
func SnapshotGapOf(g tcpvet.Gap) SnapshotGap {
	return SnapshotGap{Schema: SnapshotSchema, Kind: KindGap, Netns: uint64(g.Netns), Gap: Gaps([]tcpvet.Gap{g})[0]}
}

// Value gives the vocabulary's value of the line.
func (j *SnapshotGap) Value() tcpvet.Gap {
	return tcpvet.Gap{
		What: j.What, Where: j.Where, Err: j.Error, Needs: str(j.Needs), Count: j.Count, Netns: tcpvet.NetnsID(j.Netns),
	}
}
