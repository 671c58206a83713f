package scenarios

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strconv"
	"time"

	"github.com/tcpvet/tcpvet/lab"
)

// portsOf gives the size of the range of scenarios about ports: no tiny one,
// however few are asked for.
func portsOf(asked int) int { return max(asked, soundRange) }

// holdsPorts is the number of descriptors of a process that takes the range so
// many times over, and a few connections more.
func holdsPorts(times int) func(lab.Options) int {
	const more = 32
	return func(o lab.Options) int { return times*portsOf(o.Ports) + more + ownDescriptors }
}

// setRange gives a host a range of local ports, and says so.
func setRange(step *lab.Step, h *lab.Host, ports int) error {
	high := rangeLow + ports - 1
	if err := h.SetPortRange(rangeLow, uint16(high)); err != nil {
		return err
	}
	step.Done = append(step.Done, fmt.Sprintf("net.ipv4.ip_local_port_range of the client's host is \"%s %s\": %s local ports.",
		step.ID("range_low", rangeLow), step.ID("range_high", high), step.Count("range_count", ports)))
	return nil
}

// keepTimeWaits makes the number of a host's TIME-WAITs exact, and says so. An RST
// ends a TIME-WAIT unless the setting has it ignored; one comes where a busy
// machine sends a FIN again that was acknowledged, and the second ACK meets nobody.
func keepTimeWaits(step *lab.Step, h *lab.Host) error {
	step.Done = append(step.Done, fmt.Sprintf("net.ipv4.tcp_rfc1337 is set to %s on the host that will have TIME-WAITs: no stray RST ends one early then, and the counts are exact.", step.ID("rfc1337", 1)))
	return set(h, map[string]int{"tcp_rfc1337": 1})
}

// startServer starts a server that keeps connections for as long as the client
// does.
func startServer(ctx context.Context, h *lab.Host, on ...netip.AddrPort) (*lab.Process, error) {
	p, err := h.Start(idleServer, "stock-server", on[0].String())
	if err != nil {
		return nil, err
	}
	return p, p.Cue(ctx, serverListen, listenOrder{On: on, Idle: time.Hour}, &struct{}{})
}

// set changes settings of a host, given by their names after net.ipv4.
func set(h *lab.Host, values map[string]int) error {
	for name, v := range values {
		if err := h.SetSysctl("net.ipv4."+name, strconv.Itoa(v)); err != nil {
			return err
		}
	}
	return nil
}

// setting reads a setting of a host, given by its name after net.ipv4.
func setting(h *lab.Host, name string) (int, error) {
	text, err := h.Sysctl("net.ipv4." + name)
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("read net.ipv4.%s: %w", name, err)
	}
	return n, nil
}

// missing tells that the kernel has no setting of that name.
func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// failsBy makes sure that a system call failed, and how.
func failsBy(f *failure, call, errno string) error {
	switch {
	case f == nil:
		return fmt.Errorf("%s was to fail with %s, and nothing failed", call, errno)
	case f.Call != call || f.name() != errno:
		return fmt.Errorf("%s was to fail with %s: %v (%s)", call, errno, f, f.name())
	}
	return nil
}

// exactly makes sure of a count.
func exactly(what string, got, want int) error {
	if got != want {
		return fmt.Errorf("%s: %d, not %d", what, got, want)
	}
	return nil
}
