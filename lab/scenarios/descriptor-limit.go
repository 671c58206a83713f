package scenarios

import (
	"context"
	"fmt"
	"os"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// DescriptorLimit is a process whose connections take all descriptors that it may
// have.
var DescriptorLimit = &lab.Scenario{
	Name:    "descriptor-limit",
	Title:   "connections use up the descriptors of a process",
	Source:  "getrlimit(2), RLIMIT_NOFILE; socket(2), EMFILE; article: a user's file handles are limited",
	Claims:  []int{9},
	Expects: []string{"close-wait-leak", "descriptor-limit", "fin-wait-2-pileup"},
	Acts:    []lab.Act{socketCrowd},
	Play: func(ctx context.Context, s *lab.Stage) error {
		d := &lastDescriptor{Stage: s}
		return inOrder(ctx, d.open, d.exhaust, d.load, d.leak, d.timeWait, func(ctx context.Context) error {
			return quiet(ctx, s, "The descriptors are back, and sockets in TIME-WAIT are none of the process's.")
		})
	},
}

// descriptorLimit is the limit of the client, small enough to be quick.
const descriptorLimit = 64

// lastDescriptor is a play of DescriptorLimit under way.
type lastDescriptor struct {
	*lab.Stage
	crowds
	opened int
}

func (d *lastDescriptor) open(ctx context.Context) (err error) {
	step := lab.Step{Name: "open", Title: "A client that may have few descriptors"}
	d.service = stock
	if d.server, err = startCrowd(d.Host, lab.Setup{}, "stock-server", stock); err != nil {
		return err
	}
	if _, err = d.server.must(ctx, crowdListen, listenOrderOf{stock, listenBacklog}); err != nil {
		return err
	}
	if d.client, err = startCrowd(d.Host, lab.Setup{Descriptors: descriptorLimit}, "shop-client", stock); err != nil {
		return err
	}
	d.introduce(&step)
	step.Done = append(step.Done, fmt.Sprintf("The client's RLIMIT_NOFILE is %s, as ulimit -n %s sets it.", step.Count("limit_descriptors", descriptorLimit), step.ID("limit", descriptorLimit)))
	d.Tell(step)
	return nil
}

func (d *lastDescriptor) exhaust(ctx context.Context) error {
	step := lab.Step{Name: "exhaust", Title: "A connection for each descriptor"}
	m, err := d.client.try(ctx, crowdConnect, connectOrder{To: stock, Count: descriptorLimit})
	if err != nil {
		return err
	}
	if err := failsBy(m.Failure, "socket", "EMFILE"); err != nil {
		return err
	}
	d.opened = m.Count
	if _, err := d.server.must(ctx, crowdAccept, acceptOrder{On: stock, Count: d.opened}); err != nil {
		return err
	}
	file, err := d.client.try(ctx, crowdOpenFile, struct{}{})
	if err != nil {
		return err
	}
	if err := failsBy(file.Failure, "open", "EMFILE"); err != nil {
		return err
	}
	sockets, err := openSockets(d.client.PID)
	if err != nil {
		return err
	}
	if err := exactly("descriptors of the client that are sockets", sockets, d.opened); err != nil {
		return err
	}
	all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", d.client.PID))
	if err != nil {
		return fmt.Errorf("count the descriptors of the client: %w", err)
	}
	ends, err := d.Settled(ctx, stock, "the connections to be open", func(e lab.Ends) bool {
		return e.Client[tcpvet.Established] == uint64(d.opened)
	})
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = []string{"shop-client connects again and again, and closes nothing."}
	step.Shown = []string{
		fmt.Sprintf("After %s connections, which ls -l /proc/PID/fd shows as so many sockets, the next one fails:", step.Count("connections_count", d.opened)),
		told(&step, m.Failure),
		fmt.Sprintf("The client then opens /dev/null: \"%v\", the same. The other %s of its descriptors are pipes, files and what its runtime needs.",
			file.Failure, step.Count("other_descriptors", len(all)-d.opened)),
	}
	step.Means = []string{
		"It is socket() that fails, before a destination is named or a port chosen, and open() fails as it does: the process can reach nobody, and write to no new log file. " +
			"With ports it is connect() that fails, with EADDRNOTAVAIL, and towards one destination only.",
	}
	d.Tell(step)
	return nil
}

func (d *lastDescriptor) load(ctx context.Context) error {
	step := lab.Step{Name: "load", Title: "What tcpvet diagnose says of it"}
	err := d.Judge(ctx, &step, lab.Expect{
		Rules: []string{"descriptor-limit"},
		Of:    map[string]lab.Particulars{"descriptor-limit": {Kind: "load", Severity: tcpvet.Critical}},
	})
	if err != nil {
		return err
	}
	step.Means = []string{"These connections are open at both ends. A process that needs that many needs a higher limit, or a bound on its pool."}
	d.Tell(step)
	return nil
}

// leak has the server close all of them.
func (d *lastDescriptor) leak(ctx context.Context) error {
	step := lab.Step{Name: "leak", Title: "The server closes, the client does not"}
	if _, err := d.server.must(ctx, crowdClose, crowdOf{stock}); err != nil {
		return err
	}
	n := uint64(d.opened)
	ends, err := d.Settled(ctx, stock, "the server to close", func(e lab.Ends) bool {
		return e.Client[tcpvet.CloseWait] == n && e.Server[tcpvet.FinWait2] == n
	})
	if err != nil {
		return err
	}
	again, err := d.client.try(ctx, crowdSockets, 1)
	if err != nil {
		return err
	}
	if err := failsBy(again.Failure, "socket", "EMFILE"); err != nil {
		return err
	}
	if err := lab.Wait(ctx, d.Patience); err != nil {
		return err
	}
	err = d.Judge(ctx, &step, lab.Expect{
		Rules: []string{"close-wait-leak", "descriptor-limit", "fin-wait-2-pileup"},
		Of: map[string]lab.Particulars{
			"descriptor-limit": {Kind: "leak", Severity: tcpvet.Critical},
			"close-wait-leak":  {Severity: tcpvet.Critical, Service: stock},
		},
	})
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = []string{"stock-server closes all of its ends. The client goes on as before."}
	step.Shown = []string{fmt.Sprintf("%s sockets are in CLOSE-WAIT now, and socket() fails with EMFILE (errno %s) as before:",
		step.Count("close_wait_count", int(ends.Client[tcpvet.CloseWait])), step.ID("errno", again.Failure.Errno))}
	step.Means = []string{"The connections have ended, and the descriptors are as taken as they were. Here a higher limit cures nothing: a leak takes what it is given."}
	d.Tell(step)
	return nil
}

// timeWait shows which state holds a descriptor and which does not.
func (d *lastDescriptor) timeWait(ctx context.Context) error {
	step := lab.Step{Name: "time-wait", Title: "CLOSE-WAIT holds descriptors, TIME-WAIT does not"}
	held, err := openSockets(d.client.PID)
	if err != nil {
		return err
	}
	if _, err := d.client.must(ctx, crowdClose, crowdOf{stock}); err != nil {
		return err
	}
	opened, err := d.connect(ctx, stock, d.opened)
	if err != nil {
		return err
	}
	if err := d.closeInTurn(ctx, d.Stage, stock); err != nil {
		return err
	}
	n := uint64(d.opened)
	ends, err := d.Settled(ctx, stock, "both to close", allAre(n, tcpvet.TimeWait, n, tcpvet.TimeWait))
	if err != nil {
		return err
	}
	left, err := openSockets(d.client.PID)
	if err != nil {
		return err
	}
	if left != 0 {
		return fmt.Errorf("the client has %d sockets left after close()", left)
	}
	if _, err := d.client.must(ctx, crowdOpenFile, struct{}{}); err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = []string{
		fmt.Sprintf("shop-client closes its %s sockets in CLOSE-WAIT. Then it opens %s connections again, and this time it closes them first, and the server after it.",
			step.Count("closed_count", held), step.Count("again_count", opened.Count)),
	}
	step.Shown = []string{
		fmt.Sprintf("Its end of each is in TIME-WAIT now, and the server's end of each that the server closed first. Of the client's descriptors %s are sockets, and it can open files:", step.Count("sockets_left_count", left)),
	}
	step.Means = []string{
		"The article says that TIME_WAIT and CLOSE_WAIT both hold file handles. Of CLOSE-WAIT that is true. TIME-WAIT comes after close(): it takes a local port and some memory of the kernel, and no descriptor, nor is it any process's.",
	}
	d.Tell(step)
	return nil
}
