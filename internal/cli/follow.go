package cli

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/capture"
	"github.com/tcpvet/tcpvet/filter"
	"github.com/tcpvet/tcpvet/report"
	"github.com/tcpvet/tcpvet/report/jsonv1"
	"github.com/tcpvet/tcpvet/rules"
	"github.com/tcpvet/tcpvet/vet"
)

// follow holds the flags of the verbs that follow conversations, and what they
// found so far.
type follow struct {
	stdio  IO
	out    output
	filter string
	failOn string

	summary  bool
	packets  bool
	absolute bool
	utc      bool
	ladder   bool // one conversation is drawn
	named    bool // several files: each gets a heading

	selects  *filter.PacketFilter
	show     shower
	tracker  *capture.Tracker
	plain    bool  // the file was pcap or pcapng, and not compressed
	tagged   bool  // with VLAN tags
	flushed  int64 // when the output was last flushed, as Segment.At
	services capture.Services
	traffic  tcpvet.Traffic
}

// shower prints conversations or packets as they come.
type shower interface {
	conversation(*tcpvet.Conversation) error
	segment(*capture.Segment, capture.Step) error
	flush() error
}

func (f *follow) flags(cmd *cobra.Command) {
	g := cmd.Flags()
	g.StringVar(&f.filter, "filter", "", "only segments of which `EXPR` is true at one end: src, dst, sport, dport, and, or, not")
	g.StringVar(&f.failOn, "fail-on", "warning", "exit with 1 on findings of this severity or worse: "+strings.Join(failWords, ", "))
	g.BoolVar(&f.summary, "summary", false, "a line for each service instead of each conversation")
	g.BoolVar(&f.packets, "packets", false, "a line for each packet, as tcpdump -n prints it, with the states it leads to")
	g.BoolVarP(&f.absolute, "absolute", "S", false, "with --packets or --conversation: sequence numbers as they are on the wire")
	g.BoolVar(&f.utc, "utc", false, "print times in UTC instead of local time")
	complete(cmd, "fail-on", failWords...)
	f.out.flags(cmd, "table", "wide", "json", "jsonl", "csv")
}

// check reads what the flags say.
func (f *follow) check() error {
	switch {
	case !slices.Contains(failWords, f.failOn):
		return usage("--fail-on %q: expected %s", f.failOn, strings.Join(failWords, ", "))
	case f.absolute && !f.packets && !f.ladder:
		return usage("-S goes with --packets or --conversation")
	case f.packets && f.summary:
		return usage("--packets prints packets, --summary services: give one of them")
	case (f.packets || f.summary) && f.out.format != "table" && !(f.packets && f.out.format == "wide"):
		return usage("-o %s prints conversations: leave it or --packets and --summary out", f.out.format)
	}
	var err error
	if f.selects, err = filter.ParsePackets([]string{f.filter}); err != nil {
		return usage("--filter: %w", err)
	}
	return nil
}

// zone is where times are printed.
func (f *follow) zone() *time.Location {
	if f.utc {
		return time.UTC
	}
	return time.Local
}

// begin makes the shower for packets whose times have dates, or not.
func (f *follow) begin(dated bool) error {
	if f.show != nil && !f.packets {
		return f.show.flush()
	}
	if f.show != nil { // another file numbers its conversations anew
		if err := f.show.flush(); err != nil {
			return err
		}
	}
	out := bufio.NewWriterSize(f.stdio.Out, 1<<16)
	switch {
	case f.packets:
		f.show = &packetLines{out: out, lines: report.NewPackets(report.PacketOptions{
			Absolute: f.absolute, Wide: f.out.format == "wide", Dated: dated, Zone: f.zone(),
		})}
	case f.summary:
		f.show = silent{}
	case f.out.format == "csv":
		list := report.NewConversationCSV(f.stdio.Out)
		f.show = csvLines{list}
		return list.Head()
	case f.out.format == "json" || f.out.format == "jsonl":
		f.show = &jsonLines{out: out}
	default:
		list := report.NewConversations(f.stdio.Out, report.ConversationOptions{Wide: f.out.format == "wide", Zone: f.zone()})
		list.Head()
		f.show = tableLines{list}
	}
	return nil
}

// idle goes on with the time while nothing comes.
func (f *follow) idle() error {
	if f.tracker == nil {
		return nil
	}
	if err := f.tracker.Advance(time.Now().UnixNano()); err != nil {
		return err
	}
	return f.show.flush()
}

// heading names the file that what follows is from, where there are several and
// the lines do not say it.
func (f *follow) heading(name string) error {
	if !f.named || f.summary || f.out.format != "table" && f.out.format != "wide" {
		return nil
	}
	if err := f.show.flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(f.stdio.Out, "%s:\n", vet.Plain(name))
	return err
}

// feed gives segments: a file or an interface.
type feed interface {
	Next(*capture.Segment) error
}

// flushEvery is how long output may wait, in the capture's time.
const flushEvery = 500 * time.Millisecond

// run follows what the feed gives to its end, and gives the feed's error; nil
// for io.EOF. begin is called before anything is shown: not where the feed has
// nothing but an error.
func (f *follow) run(from feed, o capture.TrackerOptions, begin func() error) error {
	o.Reuse = !f.ladder
	t := capture.NewTracker(o, func(c *tcpvet.Conversation) error {
		f.services.Add(c)
		f.span(c)
		return f.show.conversation(c)
	})
	f.tracker = t
	defer func() { f.tracker = nil }()
	var s capture.Segment
	var ended error
	for n := 0; ; n++ {
		err := from.Next(&s)
		if err != nil && err != io.EOF {
			ended = err
			break
		}
		if n == 0 {
			if err := begin(); err != nil {
				return err
			}
		}
		if err == io.EOF {
			break
		}
		if !f.selects.Match(s.Src, s.Dst) {
			continue
		}
		f.tagged = f.tagged || s.NumVLANs > 0
		step, err := t.Add(&s)
		if err == nil {
			err = f.show.segment(&s, step)
		}
		// What passes for hours is shown as it comes.
		if err == nil && time.Duration(s.At-f.flushed) > flushEvery {
			f.flushed = s.At
			err = f.show.flush()
		}
		if err != nil {
			return err
		}
	}
	err := t.Finish()
	st := t.Stats()
	f.traffic.Segments += st.Segments
	f.traffic.Conversations += st.Conversations
	if st.GivenUp > 0 {
		f.gap("ends of conversations", o.File, fmt.Sprintf("%s were told before their end: too many were open at once", vet.Counted(st.GivenUp, "conversation")))
	}
	if st.Hurried > 0 {
		f.gap("late segments", o.File, fmt.Sprintf("%s were forgotten less than %s after their end, too many at once: what came later of theirs counts as another",
			vet.Counted(st.Hurried, "conversation"), vet.Duration(t.Linger())))
	}
	return cmp.Or(err, ended)
}

// span widens the time that the traffic covers.
func (f *follow) span(c *tcpvet.Conversation) {
	if c.Start.IsZero() {
		return
	}
	if f.traffic.From.IsZero() || c.Start.Before(f.traffic.From) {
		f.traffic.From = c.Start
	}
	if end := c.Start.Add(c.Duration); end.After(f.traffic.To) {
		f.traffic.To = end
	}
}

func (f *follow) gap(what, where, err string) {
	f.traffic.Gaps = append(f.traffic.Gaps, tcpvet.Gap{What: what, Where: vet.Plain(where), Err: vet.Plain(err)})
}

// end prints what follows the last conversation, and gives the exit status.
func (f *follow) end() error {
	if f.show == nil && f.out.format != "json" && f.out.format != "jsonl" {
		return nil // nothing was read
	}
	if f.show != nil {
		if err := f.show.flush(); err != nil {
			return err
		}
	}
	f.traffic.Services = f.services.Traffic()
	f.traffic.Check = f.checkable()
	r := vet.RunTraffic(&f.traffic, rules.All)
	if f.summary {
		if err := report.Services(f.stdio.Out, f.services.Rows()); err != nil {
			return err
		}
	}
	switch f.out.format {
	case "json", "jsonl":
		host, _ := os.Hostname()
		if err := line(f.stdio.Out, jsonv1.TrafficDiagnosisOf(&f.traffic, host, r)); err != nil {
			return err
		}
	case "csv":
		for i := range r.Findings {
			fmt.Fprintf(f.stdio.Err, "%s  %s   %s\n", strings.ToUpper(r.Findings[i].Severity.String()), r.Findings[i].Rule, r.Findings[i].Title)
		}
		warnGaps(f.stdio.Err, f.traffic.Gaps)
	default:
		fmt.Fprintln(f.stdio.Out)
		err := report.Traffic(f.stdio.Out, &f.traffic, r, report.Style{Color: f.out.colored(f.stdio.Out), Width: width(f.stdio.Out, 100)})
		if err != nil {
			return err
		}
	}
	if least := tcpvet.Severity(slices.Index(failWords, f.failOn)); least > 0 && worst(r) >= least {
		return &exit{status: statusFindings}
	}
	return nil
}

// checkable gives the file that tcpdump reads as it was read here, "" for none:
// it takes nothing compressed, and needs words of its own for VLANs.
func (f *follow) checkable() string {
	if len(f.traffic.Files) != 1 || f.traffic.Files[0] == "-" || !f.plain || f.tagged || !f.selects.All() {
		return ""
	}
	return f.traffic.Files[0]
}

// worst is the severity of the worst finding, 0 for none.
func worst(r vet.Report) (most tcpvet.Severity) {
	for i := range r.Findings {
		most = max(most, r.Findings[i].Severity)
	}
	return most
}
