package vet

import "github.com/tcpvet/tcpvet"

// Headroom is how many local ports connect() can still choose from for one
// tuple, and where the others are.
type Headroom struct {
	Range    int // ports of net.ipv4.ip_local_port_range
	Reserved int // of these, kept by net.ipv4.ip_local_reserved_ports
	Blocked  int // of the rest, kept from every tuple by a socket that bind() put there
	Taken    int // by connections of this tuple, without TIME-WAIT that would be reused now
	Left     int // not below 0
}

// Usable is how many ports the settings allow.
func (h Headroom) Usable() int { return h.Range - h.Reserved }

// Choosable is how many ports connect() could choose from if the tuple had no
// connection.
func (h Headroom) Choosable() int { return max(h.Usable()-h.Blocked, 0) }

// LeftRatio is Left by Usable, 0 where nothing is usable.
func (h Headroom) LeftRatio() float64 {
	if h.Usable() <= 0 {
		return 0
	}
	return float64(h.Left) / float64(h.Usable())
}

// Room works out the headroom of the tuples of a Census.
type Room struct {
	census *tcpvet.Census
	empty  map[tcpvet.NetnsID]Headroom
}

// NewRoom gives the Room of c.
func NewRoom(c *tcpvet.Census) Room {
	return Room{c, make(map[tcpvet.NetnsID]Headroom, len(c.Netns))}
}

// Of gives the headroom of a tuple. ok is false where the port range of its
// namespace is not known.
func (r Room) Of(t tcpvet.Tuple) (h Headroom, ok bool) {
	if h, ok = r.Empty(t.Netns); !ok {
		return h, false
	}
	if b := r.census.Tuples[t]; b != nil {
		h.Taken = int(b.Total()) - int(b.Reserved)
		h.Left = max(h.Left-h.Taken, 0)
	}
	return h, true
}

// Empty gives the headroom of a tuple without any connection.
func (r Room) Empty(ns tcpvet.NetnsID) (h Headroom, ok bool) {
	if h, ok = r.empty[ns]; ok {
		return h, true
	}
	ports := r.census.Netns[ns].Ports
	if ports == nil {
		return h, false
	}
	h = roomIn(ports, r.census.Bound[ns])
	r.empty[ns] = h
	return h, true
}

// roomIn gives the headroom of a range without any connection; bound may be nil.
func roomIn(ports *tcpvet.Ports, bound *tcpvet.PortSet) Headroom {
	h := Headroom{Range: ports.Size(), Reserved: ports.ReservedInside()}
	if bound != nil {
		for low, high := range bound.Spans {
			low, high = max(low, ports.Low), min(high, ports.High)
			if low <= high {
				h.Blocked += int(high) - int(low) + 1 - ports.Reserved.Count(low, high)
			}
		}
	}
	h.Left = max(h.Usable()-h.Blocked, 0)
	return h
}
