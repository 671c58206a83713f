package scenarios

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// AbortUnreadData closes a connection on which data has come that nobody read.
var AbortUnreadData = &lab.Scenario{
	Name:   "abort-unread-data",
	Title:  "close() with data unread sends an RST instead of a FIN",
	Source: "RFC 1122, section 4.2.2.13; RFC 2525, section 2.17; tcp_close in the kernel",
	Acts:   []lab.Act{socketCalls},
	Play: func(ctx context.Context, s *lab.Stage) error {
		a := &abort{Stage: s}
		return inOrder(ctx, a.open, a.unread, a.close, a.client, a.read, func(ctx context.Context) error {
			return quiet(ctx, s, "An RST leaves nothing behind that could be found in a table. It shows in the counters, on the wire, and in the logs of programs.")
		})
	},
}

// abort is a play of AbortUnreadData under way.
type abort struct {
	*lab.Stage
	pair *linkedPair
}

func (a *abort) open(ctx context.Context) (err error) {
	step := lab.Step{Name: "open", Title: "A client and a server"}
	if a.pair, err = linkPair(ctx, a.Stage, &step); err != nil {
		return err
	}
	a.Tell(step)
	return nil
}

// unread has data come to the server, which answers without reading all of it.
func (a *abort) unread(ctx context.Context) error {
	step := lab.Step{Name: "unread", Title: "The server answers, and does not read"}
	p := a.pair
	if _, err := p.client.must(ctx, callWrite, writeCall{p.inClient, []byte(request)}); err != nil {
		return err
	}
	var recvQ int
	err := lab.Until(ctx, "the request to arrive", func() (bool, error) {
		sock, err := socketAt(ctx, a.Stage, p.link.B.Host, p.service, p.from)
		if sock != nil {
			recvQ = int(sock.RecvQ)
		}
		return recvQ == len(request), err
	})
	if err != nil {
		return err
	}
	w, err := p.server.must(ctx, callWrite, writeCall{p.inServer, []byte(answer)})
	if err != nil {
		return err
	}
	if _, err := p.tap.Wait(ctx, 1, p.serverSends(lab.Data)); err != nil {
		return err
	}
	step.Done = []string{
		fmt.Sprintf("shop-client writes a request of %s bytes. stock-server reads none of it, as one that rejects an upload by its first lines, and writes an answer of %s bytes.",
			step.Count("request_bytes", len(request)), step.Count("answer_bytes", w.Bytes)),
	}
	step.Shown = []string{fmt.Sprintf("The server's end has %s bytes in Recv-Q.", step.Count("recvq_bytes", recvQ))}
	a.Tell(step)
	return nil
}

func (a *abort) close(ctx context.Context) error {
	step := lab.Step{Name: "close", Title: "The server closes"}
	p := a.pair
	before, err := a.aborts(ctx)
	if err != nil {
		return err
	}
	if _, err := p.server.must(ctx, callClose, socketCall{p.inServer}); err != nil {
		return err
	}
	rst, err := p.tap.Wait(ctx, 1, p.serverSends(lab.RST))
	if err != nil {
		return err
	}
	if _, err := a.Settled(ctx, p.service, "the RST to end both", states(0, 0)); err != nil {
		return err
	}
	after, err := a.aborts(ctx)
	if err != nil {
		return err
	}
	if fins := p.tap.Select(lab.FIN); len(fins) > 0 || after != before+1 {
		return fmt.Errorf("close() sent %v, and TcpExtTCPAbortOnClose went from %d to %d", texts(fins), before, after)
	}
	step.Segments = rst
	step.Done = []string{"stock-server calls close()."}
	step.Shown = []string{
		fmt.Sprintf("An RST, and no FIN. On the server's host the counter TcpExtTCPAbortOnClose goes from %s to %s. No socket of the connection is left in either kernel's table.",
			step.Count("aborts_before_count", int(before)), step.Count("aborts_after_count", int(after))),
	}
	step.Means = []string{
		"A FIN would say that all went well. Data that came and will never be read is lost, and the RST tells the peer so. There is no TIME-WAIT after it.",
	}
	a.Tell(step)
	return nil
}

// aborts gives the counter of the server's host.
func (a *abort) aborts(ctx context.Context) (uint64, error) {
	return counter(ctx, a.Stage, a.pair.link.B.Host, "TcpExtTCPAbortOnClose")
}

func (a *abort) client(ctx context.Context) error {
	step := lab.Step{Name: "client", Title: "What the client gets"}
	p := a.pair
	got, err := p.client.must(ctx, callRead, socketCall{p.inClient})
	if err != nil {
		return err
	}
	if string(got.Data) != answer {
		return fmt.Errorf("the client read %q, not the answer", got.Data)
	}
	reset, err := p.client.mustFail(ctx, callRead, socketCall{p.inClient}, "recv", "ECONNRESET")
	if err != nil {
		return err
	}
	if _, err := p.client.must(ctx, callClose, socketCall{p.inClient}); err != nil {
		return err
	}
	step.Done = []string{"shop-client calls read() twice, and close()."}
	step.Shown = []string{
		fmt.Sprintf("The first gives %s bytes, the whole answer: it had arrived before the RST. The second: \"%v\" (errno %s, %s).",
			step.Count("answer_bytes", got.Bytes), reset.Failure, step.ID("errno", reset.Failure.Errno), reset.Failure.name()),
	}
	step.Means = []string{
		"\"connection reset by peer\" need not mean that the peer crashed: here it closed. A client that is still writing when the RST comes gets the error from write(), and may never look for the answer.",
	}
	a.Tell(step)
	return nil
}

// read does the same with a server that reads first.
func (a *abort) read(ctx context.Context) error {
	step := lab.Step{Name: "read", Title: "The same with a server that reads first"}
	p := a.pair
	resets := len(p.tap.Select(lab.RST))
	if err := p.connect(ctx, netip.AddrPort{}); err != nil {
		return err
	}
	if _, err := p.client.must(ctx, callWrite, writeCall{p.inClient, []byte(request)}); err != nil {
		return err
	}
	read := 0
	err := lab.Until(ctx, "the server to read the request", func() (bool, error) {
		r, err := p.server.try(ctx, callRead, socketCall{p.inServer})
		read += r.Bytes
		return read == len(request), err
	})
	if err != nil {
		return err
	}
	if _, err := p.server.must(ctx, callWrite, writeCall{p.inServer, []byte(answer)}); err != nil {
		return err
	}
	if _, err := p.server.must(ctx, callClose, socketCall{p.inServer}); err != nil {
		return err
	}
	got, err := p.client.must(ctx, callDrain, socketCall{p.inClient})
	if err != nil {
		return err
	}
	if got.Bytes != len(answer) || !got.End {
		return fmt.Errorf("the client read %d bytes of an answer of %d, end %v", got.Bytes, len(answer), got.End)
	}
	if _, err := p.client.must(ctx, callClose, socketCall{p.inClient}); err != nil {
		return err
	}
	ends, err := a.Settled(ctx, p.service, "both to close", states(0, tcpvet.TimeWait))
	if err != nil {
		return err
	}
	if _, err := p.tap.Wait(ctx, 1, p.serverSends(lab.FIN)); err != nil {
		return err
	}
	if n := len(p.tap.Select(lab.RST)); n != resets {
		return fmt.Errorf("an RST crossed though all was read: %d in all, %d before", n, resets)
	}
	step.Ends = &ends
	step.Done = []string{fmt.Sprintf("A second connection. stock-server reads the %s bytes, answers, and closes.", step.Count("read_bytes", read))}
	step.Shown = []string{fmt.Sprintf("A FIN, and no RST. shop-client reads %s bytes, and then the end. After its close() the sockets are:", step.Count("answer_bytes", got.Bytes))}
	step.Means = []string{"The cure: read to the end of the request before you close, or call shutdown(SHUT_WR) and read what still comes until the end comes."}
	a.Tell(step)
	return nil
}
