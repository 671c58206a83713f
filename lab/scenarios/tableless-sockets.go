package scenarios

import (
	"context"
	"fmt"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
	"golang.org/x/sys/unix"
)

// TablelessSockets is a client that keeps the descriptors of connections which have
// ended.
var TablelessSockets = &lab.Scenario{
	Name:    "tableless-sockets",
	Title:   "descriptors of connections that no table shows any more",
	Source:  "shutdown(2); kernel functions tcp_reset, tcp_done and sockfs_xattr_get; RFC 9293, section 3.5.2",
	Expects: []string{"tableless-sockets"},
	Acts:    []lab.Act{socketCrowd},
	Play: func(ctx context.Context, s *lab.Stage) error {
		t := &tableless{Stage: s}
		return inOrder(ctx, t.open, t.fresh, t.reset, t.shutdown, t.close)
	},
}

const (
	tablelessReset = 12
	tablelessShut  = 6
	tablelessFresh = 4
)

// tableless is a play of TablelessSockets under way.
type tableless struct {
	*lab.Stage
	crowds
}

func (t *tableless) open(ctx context.Context) (err error) {
	step := lab.Step{Name: "open", Title: "Two services, and a client of both"}
	if t.crowds, err = startCrowds(ctx, t.Host, t.Host, stock, listenBacklog); err != nil {
		return err
	}
	if _, err := t.server.must(ctx, crowdListen, listenOrderOf{prices, listenBacklog}); err != nil {
		return err
	}
	t.introduce(&step)
	step.Done = append(step.Done, fmt.Sprintf("The server listens on %s too.", prices))
	t.Tell(step)
	return nil
}

// fresh makes sockets that are in no table and no fault.
func (t *tableless) fresh(ctx context.Context) error {
	step := lab.Step{Name: "fresh", Title: "A socket that is not connected yet"}
	made, err := t.client.must(ctx, crowdSockets, tablelessFresh)
	if err != nil {
		return err
	}
	descriptors, listed, err := t.count(ctx)
	if err != nil {
		return err
	}
	if descriptors != made.Count || listed != 0 {
		return fmt.Errorf("after socket(): %d descriptors and %d entries in the tables, not %d and 0", descriptors, listed, made.Count)
	}
	if err := t.Judge(ctx, &step, lab.Expect{}); err != nil {
		return err
	}
	step.Done = []string{fmt.Sprintf("shop-client calls socket() %s times, and nothing else.", step.Count("fresh_count", made.Count))}
	step.Shown = []string{fmt.Sprintf("ls -l /proc/PID/fd shows %s sockets. The kernel's tables of TCP sockets, and so ss, show %s of them.",
		step.Count("descriptors_count", descriptors), step.Count("listed_count", listed))}
	step.Means = []string{"A socket gets into the tables when it is bound or connects. One that is about to is in none of them, and in order: its tcp_info says that it never had a connection."}
	t.Tell(step)
	return nil
}

// count gives the client's descriptors that are sockets, and how many of them the
// tables show.
func (t *tableless) count(ctx context.Context) (descriptors, listed int, err error) {
	if descriptors, err = openSockets(t.client.PID); err != nil {
		return 0, 0, err
	}
	sockets, err := t.Sockets(ctx, t.Host)
	if err != nil {
		return 0, 0, err
	}
	for _, s := range sockets {
		if s.Holder.PID == int32(t.client.PID) {
			listed++
		}
	}
	return descriptors, listed, nil
}

func (t *tableless) reset(ctx context.Context) error {
	step := lab.Step{Name: "reset", Title: "The server ends connections, and the client does not look"}
	opened, err := t.connect(ctx, stock, tablelessReset)
	if err != nil {
		return err
	}
	if w, err := t.server.must(ctx, crowdWrite, writeOrder{Of: stock, Each: len(answer)}); err != nil {
		return err
	} else if err := exactly("answers", w.Count, tablelessReset); err != nil {
		return err
	}
	before, listedBefore, err := t.count(ctx)
	if err != nil {
		return err
	}
	if _, err := t.server.must(ctx, crowdReset, crowdOf{stock}); err != nil {
		return err
	}
	if _, err := t.Settled(ctx, stock, "the RSTs to end the connections", allAre(0, 0, 0, 0)); err != nil {
		return err
	}
	descriptors, listed, err := t.count(ctx)
	if err != nil {
		return err
	}
	if before != tablelessFresh+tablelessReset || listedBefore != tablelessReset || descriptors != before || listed != 0 {
		return fmt.Errorf("the client had %d descriptors and %d entries, and has %d and %d after the RSTs", before, listedBefore, descriptors, listed)
	}
	err = t.Judge(ctx, &step, lab.Expect{
		Rules: []string{"tableless-sockets"},
		Of:    map[string]lab.Particulars{"tableless-sockets": {Kind: "used", Severity: tcpvet.Warning}},
	})
	if err != nil {
		return err
	}
	step.Done = []string{fmt.Sprintf("shop-client opens %s connections to %s and gets an answer on each. Then stock-server ends them by RST, as a server does that is killed with data unread, or a middlebox. The client makes no further call.",
		step.Count("connections_count", opened.Count), stock)}
	step.Shown = []string{
		fmt.Sprintf("Of the client's sockets the tables show %s before, and %s after. Its descriptors are as many as before: %s.",
			step.Count("listed_before_count", listedBefore), step.Count("listed_count", listed), step.Count("descriptors_count", descriptors)),
	}
	step.Means = []string{
		"The kernel takes a connection that an RST ends out of its tables at once, and the port is free. The descriptor is the program's, and stays until it calls close(). " +
			"A tool that lists connections shows a client without any. Only its descriptors show that something is left.",
	}
	t.Tell(step)
	return nil
}

// shutdown ends connections by a call that does not close.
func (t *tableless) shutdown(ctx context.Context) error {
	step := lab.Step{Name: "shutdown", Title: "shutdown() ends a connection, and does not close it"}
	opened, err := t.connect(ctx, prices, tablelessShut)
	if err != nil {
		return err
	}
	if _, err := t.client.must(ctx, crowdShutdown, shutdownOrder{prices, unix.SHUT_RDWR}); err != nil {
		return err
	}
	if err := t.closeSecond(ctx, t.Stage, prices, tablelessShut); err != nil {
		return err
	}
	ends, err := t.Settled(ctx, prices, "both to end", func(e lab.Ends) bool {
		return e.Client[tcpvet.TimeWait] == tablelessShut && e.Server == [tcpvet.NumStates]uint64{}
	})
	if err != nil {
		return err
	}
	descriptors, listed, err := t.count(ctx)
	if err != nil {
		return err
	}
	if descriptors != tablelessFresh+tablelessReset+tablelessShut || listed != 0 {
		return fmt.Errorf("after shutdown() the client has %d descriptors and %d entries in the tables", descriptors, listed)
	}
	step.Ends = &ends
	step.Done = []string{fmt.Sprintf("The client opens %s connections to %s, and ends each by shutdown() in both directions. The server closes its ends.", step.Count("connections_count", opened.Count), prices)}
	step.Shown = []string{fmt.Sprintf("What is left of them in the tables is TIME-WAIT, which belongs to no process. The client has %s sockets among its descriptors, and %s in the tables:",
		step.Count("descriptors_count", descriptors), step.Count("listed_count", listed))}
	step.Means = []string{"shutdown() says that the connection has no further use. Only close() gives the descriptor back, so both are needed."}
	t.Tell(step)
	return nil
}

func (t *tableless) close(ctx context.Context) error {
	step := lab.Step{Name: "close", Title: "The client looks, and closes"}
	read, err := t.client.try(ctx, crowdRead, crowdOf{stock})
	if err != nil {
		return err
	}
	if read.Failure == nil || read.Failure.name() != "ECONNRESET" || read.Failed != tablelessReset {
		return fmt.Errorf("reading after the RSTs gave %+v, not %d times ECONNRESET", read, tablelessReset)
	}
	for _, service := range []crowdOf{{stock}, {prices}} {
		if _, err := t.client.must(ctx, crowdClose, service); err != nil {
			return err
		}
	}
	descriptors, listed, err := t.count(ctx)
	if err != nil {
		return err
	}
	if descriptors != tablelessFresh || listed != 0 {
		return fmt.Errorf("after close() the client has %d descriptors and %d entries in the tables, not %d and 0", descriptors, listed, tablelessFresh)
	}
	if err := t.Judge(ctx, &step, lab.Expect{}); err != nil {
		return err
	}
	step.Done = []string{"The client calls read() on each connection that was reset, and then close() on all, as it should after any error."}
	step.Shown = []string{
		fmt.Sprintf("read() gave the answer that had come before, %s bytes in all, and then, %s times: \"%v\" (errno %s).",
			step.Count("read_bytes", read.Bytes), step.Count("reset_count", read.Failed), read.Failure, step.ID("errno", read.Failure.Errno)),
		fmt.Sprintf("%s sockets are left among its descriptors, those that it never connected.", step.Count("descriptors_count", descriptors)),
	}
	step.Means = []string{"The kernel told of the end all the time. Nobody asked: a pool that tests its idle connections, or closes them after some time, would have."}
	t.Tell(step)
	return nil
}
