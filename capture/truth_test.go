package capture_test

import (
	"bufio"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/capture"
	"github.com/tcpvet/tcpvet/capture/recording"
)

// follow reads a recording to its end and gives its conversations as they were
// told, and what each segment was.
func follow(t *testing.T, file string, o capture.TrackerOptions) (told []*tcpvet.Conversation, steps []capture.Step) {
	t.Helper()
	return followUntil(t, file, o, false)
}

// followUntil may end where the file is cut.
func followUntil(t *testing.T, file string, o capture.TrackerOptions, cut bool) (told []*tcpvet.Conversation, steps []capture.Step) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := recording.Open(f, recording.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	o.Dated = r.Clock() == recording.Since1970
	o.File = file
	tr := capture.NewTracker(o, func(c *tcpvet.Conversation) error {
		told = append(told, c)
		return nil
	})
	for s := new(capture.Segment); ; {
		err := r.Next(s)
		if errors.Is(err, io.EOF) || cut && errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		step, err := tr.Add(s)
		if err != nil {
			t.Fatal(err)
		}
		steps = append(steps, step)
	}
	if err := tr.Finish(); err != nil {
		t.Fatal(err)
	}
	return told, steps
}

// truthLine is a line of testdata/truth.txt.
type truthLine struct {
	file, count, open, close, first, resetBy, notes string
}

func truth(t *testing.T) (lines []truthLine) {
	t.Helper()
	f, err := os.Open("testdata/truth.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for in := bufio.NewScanner(f); in.Scan(); {
		if strings.HasPrefix(in.Text(), "#") || in.Text() == "" {
			continue
		}
		w := strings.Split(in.Text(), "\t")
		if len(w) != 7 {
			t.Fatalf("truth.txt: %q has %d fields, want 7", in.Text(), len(w))
		}
		lines = append(lines, truthLine{w[0], w[1], w[2], w[3], w[4], w[5], w[6]})
	}
	return lines
}

func TestTruth(t *testing.T) {
	lines := truth(t)
	if len(lines) != 21 {
		t.Errorf("%d files in truth.txt, want 18 captures and 3 excerpts", len(lines))
	}
	for _, line := range lines {
		t.Run(line.file, func(t *testing.T) {
			told, _ := follow(t, "testdata/"+line.file, capture.TrackerOptions{})
			if got := strconv.Itoa(len(told)); got != line.count {
				t.Errorf("%s conversations, want %s", got, line.count)
			}
			kinds := map[string]int{}
			for _, c := range told {
				for _, field := range []struct{ name, got, want string }{
					{"open", string(c.Open.Kind), line.open},
					{"close", string(c.Close.Kind), line.close},
					{"first", string(c.Close.First), line.first},
					{"reset by", string(c.Close.ResetBy), line.resetBy},
				} {
					if field.want != "-" && field.got != field.want {
						t.Errorf("%d %v: %s %s, want %s", c.Number, c.Client, field.name, field.got, field.want)
					}
				}
				for _, n := range c.Notes {
					kind := string(n.Kind)
					if n.Certainty == tcpvet.Likely {
						kind += "~"
					}
					kinds[kind]++
					t.Logf("%d %v: %s: %s or %v", c.Number, c.Client, kind, n.Text, n.Or)
				}
			}
			if line.notes == "-" {
				return
			}
			for _, note := range strings.Split(line.notes, ",") {
				kind, times, _ := strings.Cut(note, "x2")
				want := 1
				switch times {
				case "":
					if strings.HasSuffix(note, "x2") {
						want = 2
					}
				default:
					want, _ = strconv.Atoi("2" + times)
				}
				if kinds[kind] != want {
					t.Errorf("%d notes %s, want %d", kinds[kind], kind, want)
				}
			}
		})
	}
}

func only(t *testing.T, told []*tcpvet.Conversation, port uint16) *tcpvet.Conversation {
	t.Helper()
	for _, c := range told {
		if port == 0 || c.Client.Port() == port {
			return c
		}
	}
	t.Fatalf("no conversation of client port %d", port)
	return nil
}

func noteOf(t *testing.T, c *tcpvet.Conversation, kind tcpvet.NoteKind) tcpvet.Note {
	t.Helper()
	for _, n := range c.Notes {
		if n.Kind == kind {
			return n
		}
	}
	t.Fatalf("no note %s in %v", kind, c.Notes)
	return tcpvet.Note{}
}

// The numbers below are differences of the times and sequence numbers that
// tcpdump prints of the files.
func TestTruthNumbers(t *testing.T) {
	us := func(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
	is := func(t *testing.T, what string, got *time.Duration, want time.Duration) {
		t.Helper()
		if got == nil || *got != want {
			t.Errorf("%s %v, want %v", what, got, want)
		}
	}
	t.Run("teardown_4pkt", func(t *testing.T) {
		told, _ := follow(t, "testdata/teardown_4pkt.pcap", capture.TrackerOptions{})
		c := only(t, told, 35400)
		is(t, "connect", c.Open.Connect, us(150654-89888))
		is(t, "rtt", c.Open.RTT, us(150608-89888))
		is(t, "passive wait", c.Close.PassiveWait, us(910544-418020))
		is(t, "fin-wait-2", c.Close.FinWait2, us(910544-418020))
		if c.Open.AcksOK == nil || !*c.Open.AcksOK || *c.Open.ClientISN != 3393657429 || *c.Open.ServerISN != 653110569 {
			t.Errorf("handshake %v", c.Open)
		}
		if o := c.Open.ClientOptions; *o.MSS != 1460 || *o.WScale != 10 || !o.SACK || !o.Timestamps || o.FastOpen {
			t.Errorf("options %+v", o)
		}
		if c.Close.TimeWait != tcpvet.ClientEnd || c.ClientState != tcpvet.TimeWait || c.ServerState != tcpvet.Unconn {
			t.Errorf("TIME-WAIT %v, states %v %v", c.Close.TimeWait, c.ClientState, c.ServerState)
		}
		if c.FromClient != (tcpvet.Flow{Packets: 5, Bytes: 2, SYNs: 1, FINs: 1}) || c.FromServer != (tcpvet.Flow{Packets: 4, SYNs: 1, FINs: 1}) {
			t.Errorf("flows %+v %+v", c.FromClient, c.FromServer)
		}
		if c.Duration != us(910579-89888) || c.Start.UnixMicro()%1e6 != 89888 {
			t.Errorf("start %v, duration %v", c.Start, c.Duration)
		}
		if len(c.Notes) != 0 {
			t.Errorf("notes %v of a clean close", c.Notes)
		}
	})
	t.Run("teardown_3pkt", func(t *testing.T) {
		told, _ := follow(t, "testdata/teardown_3pkt.pcap", capture.TrackerOptions{})
		is(t, "passive wait", told[0].Close.PassiveWait, 0)
		if told[0].Close.TimeWait != tcpvet.ClientEnd {
			t.Errorf("TIME-WAIT %v", told[0].Close.TimeWait)
		}
	})
	t.Run("simultaneous_close", func(t *testing.T) {
		told, steps := follow(t, "testdata/simultaneous_close.pcap", capture.TrackerOptions{})
		if c := told[0]; c.Close.TimeWait != tcpvet.BothEnds || c.Close.PassiveWait != nil {
			t.Errorf("close %+v", c.Close)
		}
		var path []string
		for _, s := range steps[5:] {
			path = append(path, s.ClientAfter.String()+" "+s.ServerAfter.String())
		}
		want := "FIN-WAIT-1 ESTAB, FIN-WAIT-1 FIN-WAIT-1, CLOSING CLOSING, TIME-WAIT TIME-WAIT"
		if got := strings.Join(path, ", "); got != want {
			t.Errorf("states %s, want %s", got, want)
		}
	})
	t.Run("half_close_data", func(t *testing.T) {
		told, _ := follow(t, "testdata/half_close_data.pcap", capture.TrackerOptions{})
		if n := noteOf(t, told[0], tcpvet.HalfCloseData); n.Count != 18 || n.By != tcpvet.ServerEnd || n.Took != us(49051998-48435616) {
			t.Errorf("note %+v", n)
		}
		is(t, "fin-wait-2", told[0].Close.FinWait2, us(49132141-48539374))
	})
	t.Run("server_exit_client_writes_twice", func(t *testing.T) {
		told, _ := follow(t, "testdata/server_exit_client_writes_twice.pcap", capture.TrackerOptions{})
		if n := noteOf(t, told[0], tcpvet.DataAfterClose); n.By != tcpvet.ClientEnd || n.Took != us(51325382-50943131) || len(told[0].Notes) != 1 {
			t.Errorf("notes %+v", told[0].Notes)
		}
	})
	t.Run("syn_retransmit", func(t *testing.T) {
		told, _ := follow(t, "testdata/syn_retransmit.pcap", capture.TrackerOptions{})
		c := told[0]
		is(t, "connect", c.Open.Connect, us(5337141-1169401))
		is(t, "rtt", c.Open.RTT, us(5337058-5273015))
		if c.Open.SYNRetransmits != 4 || c.FromClient.Retransmits != 4 {
			t.Errorf("%d SYN retransmits, %d in all", c.Open.SYNRetransmits, c.FromClient.Retransmits)
		}
	})
	t.Run("connect_timeout_blackhole", func(t *testing.T) {
		told, _ := follow(t, "testdata/connect_timeout_blackhole.pcap", capture.TrackerOptions{})
		if c := told[0]; c.Open.SYNRetransmits != 10 || c.ClientState != tcpvet.SynSent || c.ServerState != 0 || noteOf(t, c, tcpvet.SYNUnanswered).Count != 11 {
			t.Errorf("%+v", c)
		}
	})
	t.Run("close_wait_leak", func(t *testing.T) {
		told, _ := follow(t, "testdata/close_wait_leak.pcap", capture.TrackerOptions{})
		for i, c := range told {
			n := noteOf(t, c, tcpvet.CloseWaitStuck)
			if c.Number != i+1 || n.By != tcpvet.ClientEnd || c.ClientState != tcpvet.CloseWait || c.ServerState != tcpvet.FinWait2 || c.FromServer.Bytes != 40 || len(c.Notes) != 1 {
				t.Errorf("%d: %v %v %v", c.Number, c.ClientState, c.ServerState, c.Notes)
			}
		}
	})
	t.Run("keepalive_timeout_peer_gone", func(t *testing.T) {
		told, _ := follow(t, "testdata/keepalive_timeout_peer_gone.pcap", capture.TrackerOptions{})
		if n := noteOf(t, only(t, told, 33096), tcpvet.KeepaliveTimeout); n.Count != 3 || n.Took != us(46297051-43225046) || !strings.Contains(n.Text, "1.02 s apart") {
			t.Errorf("%+v", n)
		}
		if n := noteOf(t, only(t, told, 33110), tcpvet.KeepaliveTimeout); n.Count != 3 {
			t.Errorf("%+v", n)
		}
		if n := noteOf(t, only(t, told, 33118), tcpvet.UserTimeout); n.Took != us(44249023-43225036) || n.Or[0] != tcpvet.KeepaliveTimeout {
			t.Errorf("%+v", n)
		}
		if c := only(t, told, 33096); c.FromClient.Probes != 3 || c.FromClient.Retransmits != 0 {
			t.Errorf("%+v", c.FromClient)
		}
	})
	t.Run("keepalive_peer_rebooted_rst", func(t *testing.T) {
		told, _ := follow(t, "testdata/keepalive_peer_rebooted_rst.pcap", capture.TrackerOptions{})
		if c := only(t, told, 56962); c.Close.ResetBy != tcpvet.ServerEnd || c.FromClient.Probes != 1 || noteOf(t, c, tcpvet.KeepaliveReset).By != tcpvet.ServerEnd {
			t.Errorf("%+v", c)
		}
		if c := only(t, told, 47516); c.FromClient.Probes != 2 || len(c.Notes) != 0 || c.ClientState != tcpvet.Established {
			t.Errorf("%+v", c)
		}
	})
	t.Run("middlebox_idle_drop", func(t *testing.T) {
		told, _ := follow(t, "testdata/middlebox_idle_drop.pcap", capture.TrackerOptions{})
		for port, resent := range map[uint16]uint64{47506: 7, 47526: 5} {
			c := only(t, told, port)
			n := noteOf(t, c, tcpvet.MiddleboxDrop)
			if c.FromClient.Retransmits != resent || n.Count != resent || n.Took.Round(100*time.Millisecond) != 9200*time.Millisecond || c.Close.ResetBy != tcpvet.NoEnd {
				t.Errorf("%d: %+v %+v", port, c.FromClient, n)
			}
		}
		// 4 probes before its data, 7 after.
		if c := only(t, told, 47516); c.FromClient.Probes != 11 || c.FromClient.Retransmits != 0 || len(c.Notes) != 0 || c.FromClient.Bytes != 7 {
			t.Errorf("%+v %v", c.FromClient, c.Notes)
		}
	})
	t.Run("nagle_delayed_ack", func(t *testing.T) {
		told, _ := follow(t, "testdata/nagle_delayed_ack.pcap", capture.TrackerOptions{})
		if n := noteOf(t, told[0], tcpvet.NagleDelayedACK); n.Count != 24 || n.By != tcpvet.ClientEnd || n.Certainty != tcpvet.Certain || n.Took/24 < 41*time.Millisecond || n.Took/24 > 45*time.Millisecond {
			t.Errorf("%+v", n)
		}
	})
	t.Run("zero_window", func(t *testing.T) {
		told, _ := follow(t, "testdata/zero_window.pcap", capture.TrackerOptions{})
		if n := noteOf(t, told[0], tcpvet.ZeroWindow); n.Took != us(41300014-38985040) || n.Count != 1 || n.By != tcpvet.ServerEnd || !strings.Contains(n.Text, "3 window probes") {
			t.Errorf("%+v", n)
		}
		// One segment was sent twice; the rest are numbers from 2149265807 to 2149285583.
		if f := told[0].FromClient; f.Retransmits != 1 || f.Probes != 0 || f.Bytes != 2149285583-2149265807 {
			t.Errorf("%+v", f)
		}
	})
	t.Run("article-close-4", func(t *testing.T) {
		told, _ := follow(t, "testdata/article-close-4.txt", capture.TrackerOptions{})
		c := told[0]
		is(t, "passive wait", c.Close.PassiveWait, us(959316-956738))
		if c.Client.Port() != 45788 || c.Close.TimeWait != tcpvet.ClientEnd || !c.Start.IsZero() {
			t.Errorf("%+v", c)
		}
	})
	t.Run("article-handshake", func(t *testing.T) {
		told, _ := follow(t, "testdata/article-handshake.txt", capture.TrackerOptions{})
		c := told[0]
		is(t, "rtt", c.Open.RTT, us(63))
		is(t, "connect", c.Open.Connect, us(1292))
		if !*c.Open.AcksOK || *c.Open.ServerOptions.WScale != 7 || c.ClientState != tcpvet.Established || c.ServerState != tcpvet.Established {
			t.Errorf("%+v", c)
		}
	})
}
