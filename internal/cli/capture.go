package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tcpvet/tcpvet/capture"
	"github.com/tcpvet/tcpvet/capture/live"
	"github.com/tcpvet/tcpvet/capture/recording"
	"github.com/tcpvet/tcpvet/netns"
	"github.com/tcpvet/tcpvet/vet"
)

// capturing holds the flags of a live capture.
type capturing struct {
	iface    string
	netns    string
	write    string
	count    uint64
	duration time.Duration
	snapLen  int
	buffer   int
}

// liveLinger is how long an ended conversation waits for late segments before
// it is told: a lost last ACK shows by then, and nobody likes to wait.
const liveLinger = 3 * time.Second

// enoughToFollow is how much of each packet tells all about its conversation:
// the headers, and the beginning of an HTTP answer.
const enoughToFollow = 256

func captureCommand(stdio IO) *cobra.Command {
	f := &follow{stdio: stdio}
	c := new(capturing)
	cmd := &cobra.Command{
		Use:   "capture",
		Short: "follow the conversations that pass an interface, as pcap does those of a recording",
		Long: `capture reads packets from an interface, or from all, and prints each
conversation some 3 s after its end; what is still open comes last. It ends after
--count packets, after --duration, or with Ctrl-C, and then says what many
conversations with one service have in common. Packets that the kernel dropped
since they came faster than they were read are counted and told.

--filter is judged in the kernel. A segment is taken where EXPR is true of the
socket at either end, so to leave a port out name both:
--filter 'not ( sport = :22 or dport = :22 )'.

It needs CAP_NET_RAW. Exit status: that of pcap; 3 where it could not begin.`,
		Example: `  tcpvet capture -i eth0 --filter 'dst 10.0.3.7:8080'
  tcpvet capture --duration 30s --summary
  tcpvet capture --netns pid:4121 --packets
  tcpvet capture -i eth0 -w day.pcap -o jsonl`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage("capture takes no arguments: %q; a filter goes with --filter, a file with pcap", args[0])
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context(), f) },
	}
	g := cmd.Flags()
	g.StringVarP(&c.iface, "interface", "i", live.Any, "interface to capture on, any for all")
	g.StringVar(&c.netns, "netns", "", "network namespace to capture in: a name, an inode or pid:N (default one's own)")
	g.StringVarP(&c.write, "write", "w", "", "write the TCP packets to `FILE`, as pcap with nanoseconds, too")
	g.Uint64VarP(&c.count, "count", "c", 0, "end after so many packets")
	g.DurationVar(&c.duration, "duration", 0, "end after this long")
	g.IntVar(&c.snapLen, "snaplen", 0, fmt.Sprintf("bytes to keep of each packet (default %d, with -w all)", enoughToFollow))
	g.IntVar(&c.buffer, "buffer", 0, "MiB for packets that wait to be read (default 8)")
	completeList(cmd, "interface", func() []string { return append([]string{live.Any}, interfaceNames()...) })
	completeList(cmd, "netns", netnsNames)
	f.flags(cmd)
	return cmd
}

func (c *capturing) check() error {
	switch {
	case c.duration < 0:
		return usage("--duration %s: expected more than 0", c.duration)
	case c.snapLen < 0 || c.snapLen > 0 && c.snapLen < 64:
		return usage("--snaplen %d: expected 64 or more: the headers have to be kept", c.snapLen)
	case c.buffer < 0 || c.buffer > 1024:
		return usage("--buffer %d: expected 1 to 1024 MiB", c.buffer)
	case c.write == "-":
		return usage("-w -: standard output has the conversations; name a file")
	case strings.Contains(c.netns, ",") || c.netns == "all":
		return usage("--netns %q: a capture is in one namespace", c.netns)
	}
	return (&look{netns: c.netns}).checkNetns()
}

func (c *capturing) run(ctx context.Context, f *follow) error {
	if err := errors.Join(f.check(), c.check()); err != nil {
		return err
	}
	if c.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.duration)
		defer cancel()
	}
	from := &liveFeed{ctx: ctx, most: c.count}
	var err error
	if from.live, err = c.open(f); err != nil {
		return &exit{statusBlind, err}
	}
	defer from.live.Close()
	if c.write != "" {
		file, err := os.Create(c.write)
		if err != nil {
			return &exit{statusBlind, err}
		}
		defer file.Close()
		if from.writer, err = recording.NewWriter(file, from.live.Link(), from.live.SnapLen()); err != nil {
			return &exit{statusBlind, err}
		}
	}
	if err := f.begin(true); err != nil {
		return err
	}
	if terminal(f.stdio.Err) {
		fmt.Fprintf(f.stdio.Err, "capturing on %s; Ctrl-C ends\n", c.iface)
	}
	err = f.run(from, capture.TrackerOptions{Dated: true, Linger: liveLinger}, func() error { return nil })
	st, statsErr := from.live.Stats()
	if from.writer != nil && err == nil {
		err = from.writer.Flush()
	}
	f.traffic.Source = "captured on " + c.iface
	f.traffic.Packets = st.Packets
	f.unread(c.iface, recording.Stats{Fragments: st.Fragments, Short: st.Short, Malformed: st.Malformed, Trouble: "their headers contradict themselves"})
	if st.Drops > 0 {
		f.gap(vet.Counted(st.Drops, "packet"), c.iface, "the kernel dropped them: they came faster than they were read; narrow it by --filter, or give more --buffer")
	}
	if err := errors.Join(err, statsErr); err != nil {
		f.gap("what came after", c.iface, err.Error())
		fmt.Fprintln(f.stdio.Err, "tcpvet:", err)
		return errors.Join(f.end(), &exit{status: statusBlind})
	}
	return f.end()
}

// open begins to capture, in the namespace that was named.
func (c *capturing) open(f *follow) (l *live.Live, err error) {
	o := live.Options{
		Interface: c.iface, Filter: f.selects, SnapLen: c.snapLen, Buffer: c.buffer << 20, Idle: f.idle,
		Checksums: f.packets && f.out.format == "wide",
	}
	if c.snapLen == 0 && c.write == "" && !o.Checksums {
		o.SnapLen = enoughToFollow
	}
	if c.netns == "" || c.netns == "self" {
		return live.Open(o)
	}
	found, _, err := netns.Find(netns.Options{})
	if err != nil {
		return nil, err
	}
	if found, err = netns.Select(found, []string{c.netns}); err != nil {
		return nil, err
	}
	err = found[0].Do(func() error {
		l, err = live.Open(o)
		return err
	})
	return l, err
}

// liveFeed is a live capture up to its end, which is no error.
type liveFeed struct {
	ctx    context.Context
	live   *live.Live
	writer *recording.Writer
	most   uint64 // packets, 0 for no bound
	given  uint64
}

func (l *liveFeed) Next(s *capture.Segment) error {
	if l.most > 0 && l.given == l.most {
		return io.EOF
	}
	err := l.live.Next(l.ctx, s)
	switch {
	case err == nil:
	case l.ctx.Err() != nil && errors.Is(err, l.ctx.Err()):
		return io.EOF
	default:
		return err
	}
	if l.writer != nil {
		p := l.live.Packet()
		if err := l.writer.Write(p.At, p.Bytes, p.WireLen); err != nil {
			return err
		}
	}
	l.given++
	return nil
}

// interfaceNames lists the interfaces of one's own namespace.
func interfaceNames() []string {
	entries, err := os.ReadDir("/sys/class/net")
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
