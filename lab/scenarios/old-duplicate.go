package scenarios

import (
	"context"
	"fmt"
	"strconv"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// OldDuplicate has a segment of a connection that is over arrive in the next one
// that has the same addresses and ports: the second reason for TIME-WAIT.
var OldDuplicate = &lab.Scenario{
	Name:      "old-duplicate",
	Title:     "a segment of the connection before arrives late: why TIME-WAIT keeps a port",
	Source:    "article: question 1, why 2MSL, the second reason; RFC 9293, section 3.4.3; RFC 6191; RFC 7323",
	Claims:    []int{7, 16},
	Needs:     []lab.Need{lab.TUN},
	Acts:      []lab.Act{socketCalls},
	Constants: []string{"2MSL", "tcp_tw_reuse is 1"},
	Play: func(ctx context.Context, s *lab.Stage) error {
		o := &duplicate{Stage: s}
		return inOrder(ctx, o.open, o.refused, o.reuse, o.arrive, func(ctx context.Context) error {
			return quiet(ctx, s, "The connection works as if nothing had been. There is nothing to find.")
		})
	},
}

// duplicate is a play of OldDuplicate under way.
type duplicate struct {
	*lab.Stage
	*connectedPair
	tunnel *lab.Tunnel
	old    lab.Held
	ports  string // the host's port range, as it was
}

const portRange = "net.ipv4.ip_local_port_range"

// open plays the first connection, and keeps a segment of it back.
func (o *duplicate) open(ctx context.Context) (err error) {
	step := lab.Step{Name: "first", Title: "A first connection, of which a segment stays under way"}
	if o.connectedPair, o.tunnel, err = tunnelPair(ctx, o.Stage, &step); err != nil {
		return err
	}
	o.old = o.tunnel.Hold(lab.Nth(1, o.serverSends(lab.Data)))
	if _, err := o.server.must(ctx, callWrite, writeCall{o.inServer, []byte(answer)}); err != nil {
		return err
	}
	if err := o.read(ctx, answer); err != nil {
		return err
	}
	if _, err := o.client.must(ctx, callClose, socketCall{o.inClient}); err != nil {
		return err
	}
	if _, err := o.server.must(ctx, callHangUp, socketCall{o.inServer}); err != nil {
		return err
	}
	ends, err := o.Settled(ctx, o.service, "both to close", states(tcpvet.TimeWait, 0))
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Segments = o.tunnel.Segments()
	step.Done = append(step.Done,
		fmt.Sprintf("stock-server writes an answer of %s bytes. The segment is kept back, as if it had gone astray, so the server's kernel sends it again, and shop-client reads that. Then the client closes, and the server does.",
			step.Count("answer_bytes", len(answer))))
	step.Shown = []string{"What has arrived, and the sockets:"}
	step.Means = []string{"The connection is over, and all is well. The first copy of the answer is still under way."}
	o.Tell(step)
	return nil
}

// read has the client read exactly that.
func (o *duplicate) read(ctx context.Context, want string) error {
	var got []byte
	err := lab.Until(ctx, "the client to read the answer", func() (bool, error) {
		r, err := o.client.try(ctx, callRead, socketCall{o.inClient})
		got = append(got, r.Data...)
		return len(got) >= len(want) || r.End, err
	})
	if err == nil && string(got) != want {
		err = fmt.Errorf("the client read %q, want %q", got, want)
	}
	return err
}

func (o *duplicate) refused(ctx context.Context) error {
	step := lab.Step{Name: "kept", Title: "TIME-WAIT keeps the port"}
	reuse, err := o.Host.Sysctl("net.ipv4.tcp_tw_reuse")
	if err != nil {
		return err
	}
	value, err := strconv.Atoi(reuse)
	if err != nil {
		return fmt.Errorf("read net.ipv4.tcp_tw_reuse: %w", err)
	}
	if value == 1 {
		return fmt.Errorf("net.ipv4.tcp_tw_reuse is %d in a new namespace, where TIME-WAIT was to keep its port", value)
	}
	if o.ports, err = o.Host.Sysctl(portRange); err != nil {
		return err
	}
	if err := o.Host.SetPortRange(o.from.Port(), o.from.Port()); err != nil {
		return err
	}
	c, err := o.client.mustFail(ctx, callConnect, connectCall{To: o.service}, "connect", "EADDRNOTAVAIL")
	if err != nil {
		return err
	}
	step.Done = []string{fmt.Sprintf("net.ipv4.ip_local_port_range is narrowed to the one port that this connection had, %s, and shop-client connects again. net.ipv4.tcp_tw_reuse is %s, as it was.",
		step.ID("port", int(o.from.Port())), step.ID("tw_reuse", value))}
	step.Shown = []string{fmt.Sprintf("\"%v\" (errno %s, %s).", c.Failure, step.ID("errno", c.Failure.Errno), c.Failure.name())}
	step.Means = []string{
		"As the article says, of its second reason: as long as a segment of the old connection can still be under way, no new one may have the same addresses and ports. This is how many TIME-WAITs to one service run a client out of ports.",
	}
	o.Tell(step)
	return nil
}

// reuse opens the second connection.
func (o *duplicate) reuse(ctx context.Context) error {
	step := lab.Step{Name: "second", Title: "A second connection from the same port"}
	first := o.from
	if err := o.Host.SetSysctl("net.ipv4.tcp_tw_reuse", "1"); err != nil {
		return err
	}
	var c returned
	err := lab.Until(ctx, "the kernel to use the port of the TIME-WAIT again", func() (ok bool, err error) {
		c, err = o.client.try(ctx, callConnect, connectCall{To: o.service})
		if err == nil && c.Failure != nil && !c.Failure.noPort() {
			err = fmt.Errorf("connect: %v (%s)", c.Failure, c.Failure.name())
		}
		return err == nil && c.Failure == nil, err
	})
	if err != nil {
		return err
	}
	s, err := o.server.must(ctx, callAccept, socketCall{o.listener})
	if err != nil {
		return err
	}
	o.from, o.inClient, o.inServer = c.Local, c.FD, s.FD
	if err := o.Host.SetSysctl(portRange, o.ports); err != nil {
		return err
	}
	if o.from != first {
		return fmt.Errorf("the second connection is from %s, not from %s", o.from, first)
	}
	ends, err := o.Settled(ctx, o.service, "the second connection", states(tcpvet.Established, tcpvet.Established))
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = []string{"net.ipv4.tcp_tw_reuse is set to " + step.ID("tw_reuse", 1) + ", and shop-client connects until it succeeds. Then the port range is as before."}
	step.Shown = []string{fmt.Sprintf("It succeeds from port %s, and the TIME-WAIT is gone:", step.ID("port", int(o.from.Port())))}
	step.Means = []string{
		"Where tcp_tw_reuse is 1 the kernel uses such a port again after a while, if both ends have timestamps. The article calls the setting unsafe. See what the late segment does.",
	}
	o.Tell(step)
	return nil
}

// fresh is what the server says over the second connection.
const fresh = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nfresh\n"

func (o *duplicate) arrive(ctx context.Context) error {
	step := lab.Step{Name: "late", Title: "The old segment arrives"}
	const paws = "TcpExtPAWSEstab"
	before, err := counter(ctx, o.Stage, o.Host, paws)
	if err != nil {
		return err
	}
	o.old.Release()
	var after uint64
	err = lab.Until(ctx, "the client's kernel to throw the old segment away", func() (bool, error) {
		after, err = counter(ctx, o.Stage, o.Host, paws)
		return after > before, err
	})
	if err != nil {
		return err
	}
	none, err := o.client.mustFail(ctx, callRead, socketCall{o.inClient}, "recv", "EAGAIN")
	if err != nil {
		return err
	}
	if _, err := o.server.must(ctx, callWrite, writeCall{o.inServer, []byte(fresh)}); err != nil {
		return err
	}
	if err := o.read(ctx, fresh); err != nil {
		return err
	}
	if _, err := o.server.must(ctx, callClose, socketCall{o.inServer}); err != nil {
		return err
	}
	if _, err := o.client.must(ctx, callHangUp, socketCall{o.inClient}); err != nil {
		return err
	}
	if _, err := o.Settled(ctx, o.service, "both to close", states(0, tcpvet.TimeWait)); err != nil {
		return err
	}
	step.Done = []string{"The copy that was kept back goes on its way. Its addresses and ports are those of the second connection. Then stock-server writes another answer."}
	step.Shown = []string{
		fmt.Sprintf("On the client's host the counter %s goes from %s to %s. read() of the client: \"%v\" (errno %s, %s). After the other answer it reads that, and nothing else.",
			paws, step.Count("paws_before_count", int(before)), step.Count("paws_after_count", int(after)), none.Failure, step.ID("errno", none.Failure.Errno), none.Failure.name()),
	}
	step.Means = []string{
		"The timestamp in the segment is older than what the second connection has seen, so it is thrown away (PAWS, RFC 7323). That is why tcp_tw_reuse asks for timestamps, and with them it is safe for a client. " +
			"What was unsafe was tcp_tw_recycle, which is gone since Linux 4.12.",
	}
	o.Tell(step)
	return nil
}
