package keepalive

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/source/procfs"
)

var kernelTable table = readTaken

// usablePorts counts the ports of the range that are not reserved.
func usablePorts() (int, bool) {
	settings, err := procfs.FS{}.PortSysctls()
	if err != nil {
		return 0, false
	}
	ports, err := portsOf(settings)
	if err != nil {
		return 0, false
	}
	return usable(ports), true
}

func usable(p *tcpvet.Ports) int { return p.Size() - p.ReservedInside() }

func portsOf(settings map[string]string) (*tcpvet.Ports, error) {
	ports, err := procfs.PortsOf(settings)
	if err == nil && ports == nil {
		err = errors.New("read the local port range: net.ipv4.ip_local_port_range is not to be had")
	}
	return ports, err
}

// readTaken reads the settings and the sockets of this network namespace.
func readTaken(key tupleKey) (taken, error) {
	settings, unread := procfs.FS{}.Sysctls()
	ports, err := portsOf(settings)
	if err != nil {
		return taken{}, errors.Join(err, unread)
	}
	source := key.local
	if !source.IsValid() {
		if source, err = sourceToward(ports, key.remote); err != nil {
			return taken{}, err
		}
	}
	reuse, _ := tcpvet.ReuseOf(&tcpvet.Netns{Sysctls: settings})
	reuse.Delay += slack
	t := taken{local: source, low: ports.Low, high: ports.High, reserved: ports.ReservedInside(), usable: usable(ports), states: map[string]int{}}
	now := time.Now()
	var used, listens tcpvet.PortSet
	err = procfs.FS{}.Sockets(context.Background(), 0, func(s *tcpvet.Socket) error {
		local := tcpvet.Unmap(s.Local)
		port := local.Port()
		if !ports.Contains(port) || ports.Reserved.Has(port) {
			return nil
		}
		if s.State == tcpvet.Listen {
			listens.Add(port, port)
			return nil
		}
		if local.Addr() != source || tcpvet.Unmap(s.Remote) != key.remote || used.Has(port) || reuse.Allows(s) {
			return nil
		}
		used.Add(port, port)
		t.states[s.State.String()]++
		if s.Mini {
			t.back = append(t.back, now.Add(returns(s, reuse)))
		} else {
			t.open++
		}
		return nil
	})
	if err != nil {
		return taken{}, err
	}
	slices.SortFunc(t.back, time.Time.Compare)
	listens.Spans(func(low, high uint16) bool {
		t.listens += int(high-low) + 1 - used.Count(low, high)
		return true
	})
	return t, nil
}

// slack is by how much a TIME-WAIT can be younger than its timer says: the kernel
// counts that in jiffies and prints it in hundredths of a second, and the age that
// reuse asks for in milliseconds.
const slack = 50 * time.Millisecond

// returns is after how long the kernel takes the port of a TIME-WAIT, or of a
// FIN-WAIT-2 that nobody holds, for a new connection.
func returns(s *tcpvet.Socket, reuse tcpvet.Reuse) time.Duration {
	ripe := *s
	if ripe.Timer.Expires = 0; reuse.Allows(&ripe) {
		return max(0, s.Timer.Expires-timeWait+reuse.Delay)
	}
	return s.Timer.Expires
}

// sourceToward is the address from which the kernel would connect. No packet is sent.
func sourceToward(ports *tcpvet.Ports, remote netip.AddrPort) (netip.Addr, error) {
	to := net.UDPAddrFromAddrPort(remote)
	conn, err := net.DialUDP("udp", nil, to)
	if errors.Is(err, syscall.EAGAIN) {
		// UDP finds no port in that range either. Any port outside serves.
		const tries = 16
		port := int(ports.High) + 1
		if port > mostPorts-tries {
			port = 1024
		}
		for last := port + tries; port < last && err != nil; port++ {
			conn, err = net.DialUDP("udp", &net.UDPAddr{Port: port}, to)
		}
	}
	if err != nil {
		return netip.Addr{}, fmt.Errorf("find the source address toward %s: %w", remote, err)
	}
	defer conn.Close()
	return plain(conn.LocalAddr().(*net.UDPAddr).AddrPort()).Addr(), nil
}
