package scenarios

import (
	"context"
	"fmt"
	"strings"
	"syscall"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// ServerExitsFirst ends the server of an open connection, and has the client
// write twice: once as a program that ignores SIGPIPE, once as one that does not.
var ServerExitsFirst = &lab.Scenario{
	Name:      "server-exits-first",
	Title:     "the server ends, and the client learns it from its second write",
	Source:    "article: the server exits before the client; RFC 9293, section 3.6; send(2), EPIPE",
	Claims:    []int{21},
	Needs:     []lab.Need{lab.Installed("bash")},
	Acts:      []lab.Act{socketCalls},
	Constants: []string{"which is 128 and"},
	Play: func(ctx context.Context, s *lab.Stage) error {
		e := &exit{Stage: s}
		return inOrder(ctx, e.open, e.kill, e.firstWrite, e.secondWrite, e.unprepared, func(ctx context.Context) error {
			return quiet(ctx, s, "No connection is left, on either side.")
		})
	},
}

// exit is a play of ServerExitsFirst under way.
type exit struct {
	*lab.Stage
	*linkedPair
}

func (e *exit) open(ctx context.Context) (err error) {
	step := lab.Step{Name: "open", Title: "A client and a server"}
	if e.linkedPair, err = linkPair(ctx, e.Stage, &step); err != nil {
		return err
	}
	e.Tell(step)
	return nil
}

func (e *exit) kill(ctx context.Context) error {
	step := lab.Step{Name: "server-exits", Title: "The server ends"}
	e.server.Kill()
	ends, err := e.Settled(ctx, e.service, "the ACK of the server's FIN", states(tcpvet.CloseWait, tcpvet.FinWait2))
	if err != nil {
		return err
	}
	fins, err := e.tap.Wait(ctx, 1, e.serverSends(lab.FIN))
	if err != nil {
		return err
	}
	if rst := e.tap.Select(lab.RST); len(rst) > 0 {
		return fmt.Errorf("the end of the server sent an RST: %v", texts(rst))
	}
	step.Ends = &ends
	step.Segments = fins
	step.Done = []string{"The process of stock-server is killed. Its kernel closes what it held."}
	step.Shown = []string{"A FIN crosses, as if the server had called close(). The sockets of both ends:"}
	step.Means = []string{
		"The end that closes first is in FIN-WAIT-2, whichever it is; here the roles of client and server are the other way round than in scenario four-way-close.",
		"A FIN only says that the server sends no more. The client cannot see from it that there is nobody left to read.",
	}
	e.Tell(step)
	return nil
}

func (e *exit) firstWrite(ctx context.Context) error {
	step := lab.Step{Name: "first-write", Title: "The client writes"}
	w, err := e.client.must(ctx, callWrite, writeCall{e.inClient, []byte(request)})
	if err != nil {
		return err
	}
	if _, err := e.tap.Wait(ctx, 1, e.serverSends(lab.RST)); err != nil {
		return err
	}
	if _, err := e.Settled(ctx, e.service, "the RST to end both", states(0, 0)); err != nil {
		return err
	}
	step.Segments = since(e.tap.Segments(), e.serverSends(lab.FIN))
	step.Done = []string{fmt.Sprintf("shop-client calls write() with %s bytes.", step.Count("request_bytes", len(request)))}
	step.Shown = []string{fmt.Sprintf("write() gives %s: all is well, so it seems. Then an RST comes back, and no socket of the connection is left in either kernel's table:",
		step.Count("written_bytes", w.Bytes))}
	step.Means = []string{
		"write() hands bytes to one's own kernel and says nothing about the peer. The server's kernel has no process to give them to and answers with an RST, not with an ACK: as the article says.",
	}
	e.Tell(step)
	return nil
}

func (e *exit) secondWrite(ctx context.Context) error {
	step := lab.Step{Name: "second-write", Title: "The client writes again"}
	before := len(e.tap.Select(e.clientSends(lab.Data)))
	w, err := e.client.mustFail(ctx, callWrite, writeCall{e.inClient, []byte(request)}, "write", "EPIPE")
	if err != nil {
		return err
	}
	r, err := e.client.must(ctx, callRead, socketCall{e.inClient})
	if err != nil {
		return err
	}
	if !r.End {
		return fmt.Errorf("read() after it gave %d bytes, not the end", r.Bytes)
	}
	if _, err := e.client.must(ctx, callClose, socketCall{e.inClient}); err != nil {
		return err
	}
	e.tap.Stop() // it holds all that has crossed now
	if after := len(e.tap.Select(e.clientSends(lab.Data))); before != after {
		return fmt.Errorf("the second write sent data: %d segments before it and %d after", before, after)
	}
	step.Done = []string{"shop-client, which ignores SIGPIPE, calls write() once more, then read(), then close()."}
	step.Shown = []string{
		fmt.Sprintf("write(): \"%v\" (errno %s, %s). Nothing crosses the link.", w.Failure, step.ID("errno", w.Failure.Errno), w.Failure.name()),
		"read(): the end.",
	}
	step.Means = []string{
		"The error comes from the client's own kernel, which remembers the RST. So it takes two writes, as the article says; but the peer's TCP sends no signal, and it takes the time until the RST is there: scenario writes-before-reset.",
		"read() would have told it before the first write: it gives the end as soon as the FIN has come.",
	}
	e.Tell(step)
	return nil
}

// unprepared is a program that lets SIGPIPE have its way, as C programs do that
// know of none. For each line that it reads it writes one to the server.
const unprepared = `exec 3<>/dev/tcp/$1/$2 && echo connected
while read -r line; do echo "$line" >&3 && echo "wrote $line"; done`

func (e *exit) unprepared(ctx context.Context) error {
	step := lab.Step{Name: "sigpipe", Title: "The same with a program that does not ignore SIGPIPE"}
	if err := e.serve(ctx, e.link.B.Host); err != nil {
		return err
	}
	tap, err := e.Host.Tap(ctx, e.link.A.Interface)
	if err != nil {
		return err
	}
	bash, err := e.Host.Program(ctx, lab.Program{Name: "bash", Single: true,
		Args: []string{"-c", unprepared, "bash", e.service.Addr().String(), fmt.Sprint(e.service.Port())}})
	if err != nil {
		return err
	}
	if err := expectLine(ctx, bash, "connected"); err != nil {
		return err
	}
	if _, err := e.server.must(ctx, callAccept, socketCall{e.listener}); err != nil {
		return err
	}
	e.server.Kill()
	if _, err := e.Settled(ctx, e.service, "the ACK of the server's FIN", states(tcpvet.CloseWait, tcpvet.FinWait2)); err != nil {
		return err
	}
	if err := bash.Say(ctx, "first"); err != nil {
		return err
	}
	if err := expectLine(ctx, bash, "wrote first"); err != nil {
		return err
	}
	if _, err := e.Settled(ctx, e.service, "the RST to end both", states(0, 0)); err != nil {
		return err
	}
	if err := bash.Say(ctx, "second"); err != nil {
		return err
	}
	status, err := bash.Wait(ctx)
	if err != nil {
		return err
	}
	if status != 128+int(syscall.SIGPIPE) {
		return fmt.Errorf("bash ended with status %d, want %d, of SIGPIPE; it said %q", status, 128+int(syscall.SIGPIPE), bash.Output()+bash.Errors())
	}
	tap.Stop()
	step.Segments = since(tap.Segments(), lab.FIN)
	if data := since(step.Segments, lab.Data); len(data) < 2 || !lab.RST(&data[len(data)-1]) {
		return fmt.Errorf("the two writes made other segments than one with data and an RST: %v", texts(step.Segments))
	}
	step.Done = []string{
		"A new stock-server is started. bash connects to it by /dev/tcp, and writes a line to it for each line that it is told. Then the server is killed, and bash is told two lines, the second once the RST was there.",
	}
	step.Shown = []string{
		fmt.Sprintf("\"wrote first\". At the second write bash is gone, without a word: exit status %s, which is 128 and the number of SIGPIPE, %s.",
			step.ID("status", status), step.ID("sigpipe", int(syscall.SIGPIPE))),
	}
	step.Means = []string{
		"write() to a connection that was reset raises SIGPIPE in the process that calls it, and that ends a program which does not provide for it. Go, Python and Java do, and give EPIPE; in C use send() with MSG_NOSIGNAL.",
	}
	e.Tell(step)
	return nil
}

// expectLine reads a line that the program has to say.
func expectLine(ctx context.Context, p *lab.Process, want string) error {
	line, err := p.Line(ctx)
	if err == nil && strings.TrimSpace(line) != want {
		err = fmt.Errorf("%s said %q, want %q; and %q", p.Name, line, want, p.Errors())
	}
	return err
}
