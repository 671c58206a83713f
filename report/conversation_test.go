package report

import (
	"bytes"
	"encoding/csv"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tcpvet/tcpvet"
)

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 us", 350: "350 ns", 63 * time.Microsecond: "63 us", 999_999: "999 us", 2578 * time.Microsecond: "2.578 ms", 41_586 * time.Microsecond: "41.58 ms",
		492_526 * time.Microsecond: "492.5 ms", 500 * time.Millisecond: "500 ms", 60 * time.Millisecond: "60 ms", 1_005 * time.Millisecond: "1.005 s",
		2_315 * time.Millisecond: "2.315 s", 59_999 * time.Millisecond: "59.99 s", time.Minute: "1 min", 133 * time.Minute: "2 h 13 min",
		-2578 * time.Microsecond: "-2.578 ms", -1 << 63: "-106751 d 23 h",
	} {
		if got := span(d); got != want {
			t.Errorf("%d ns is printed as %q, want %q", int64(d), got, want)
		}
	}
}

// conversationsOf gives the conversations of several files.
func conversationsOf(t *testing.T, files ...string) []*tcpvet.Conversation {
	t.Helper()
	var all []*tcpvet.Conversation
	for _, name := range files {
		all = append(all, follow(t, recorded(t, name), name, nil)...)
	}
	return all
}

func conversationLines(t *testing.T, o ConversationOptions, conversations ...*tcpvet.Conversation) []string {
	t.Helper()
	var b bytes.Buffer
	l := NewConversations(&b, o)
	l.Head()
	for _, c := range conversations {
		if err := l.Conversation(c); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
}

// The values are those that the captures were taken with: the times are the
// differences of the times that tcpdump prints.
func TestConversationColumns(t *testing.T) {
	all := conversationsOf(t, "article-close-4.txt", "article-close-3.txt", "article-handshake.txt", "teardown_4pkt.pcap", "rst_unread_data.pcap", "connect_timeout_blackhole.pcap")
	stuck := conversationsOf(t, "close_wait_leak.pcap")[1:2]
	lines := conversationLines(t, ConversationOptions{}, append(all, stuck...)...)
	for i, want := range []string{
		"Client Server Open Close First Close-wait RTT Packets Bytes Notes",
		"localhost:45788 localhost:22 midstream four-way client 2.578 ms - 4 0 -",
		"192.168.1.10:32823 192.168.1.141:9090 midstream three-way client 0 us - 3 0 -",
		"192.168.1.10:945 192.168.1.141:2049 handshake none - - 63 us 3 0 -",
		"10.8.0.1:35400 10.8.0.2:9090 handshake four-way client 492.5 ms 60.72 ms 9 2 -",
		"10.8.0.1:35432 10.8.0.2:9090 handshake reset client - 61.58 ms 6 6 abort-unread-data?",
		"10.9.0.1:60730 10.9.0.2:7003 unanswered none - - - 11 0 syn-unanswered",
		"10.9.0.1:47992 10.9.0.2:80 handshake half-closed server >1 us 32 us 9 67 close-wait-stuck",
	} {
		got := strings.Join(strings.Fields(lines[i]), " ")
		if i == 7 { // that of its capture's other nineteen differ
			got, want = got[:strings.Index(got, ">")], want[:strings.Index(want, ">")]
		}
		if got != want {
			t.Errorf("printed %q, want %q", got, want)
		}
	}
}

// An end that never closed is told how long so far, by the note that says so.
func TestConversationStuck(t *testing.T) {
	c := tcpvet.Conversation{Notes: []tcpvet.Note{{Kind: tcpvet.ZeroWindow, Took: time.Hour}, {Kind: tcpvet.CloseWaitStuck, Took: 2 * time.Hour}}}
	if line := conversationLines(t, ConversationOptions{}, &c)[1]; !strings.Contains(line, " >2 h ") || !strings.HasSuffix(line, "zero-window,close-wait-stuck") {
		t.Errorf("printed %q", line)
	}
	c.Close.PassiveWait = new(time.Duration) // it did close
	if line := conversationLines(t, ConversationOptions{}, &c)[1]; strings.Contains(line, ">") || !strings.Contains(line, " 0 us ") {
		t.Errorf("printed %q", line)
	}
}

// Wherever a column begins, it begins there in each line, also after something
// that was too wide for it; and nothing a capture says reaches the terminal's
// controls.
func TestConversationsKeepColumns(t *testing.T) {
	long := netip.MustParseAddrPort("[2001:db8:1111:2222:3333:4444:5555:6666]:65535")
	evil := netip.AddrPortFrom(tcpvet.NamedHost("a\x1b[2J\n\u009b31m\xff"), 80)
	first := tcpvet.Conversation{Number: 1, Client: netip.MustParseAddrPort("10.0.0.1:1"), Server: long, FromClient: tcpvet.Flow{Packets: 1 << 63, Bytes: 1 << 62}}
	second := tcpvet.Conversation{Number: 2, Client: long, Server: evil, Open: tcpvet.Opening{Kind: tcpvet.SimultaneousOpen}, Close: tcpvet.Ending{Kind: tcpvet.SimultaneousClose}}
	third := tcpvet.Conversation{Number: 3, Client: netip.MustParseAddrPort("10.0.0.1:2"), Server: netip.MustParseAddrPort("10.0.0.2:2"), Open: tcpvet.Opening{Kind: tcpvet.Handshake}, Close: tcpvet.Ending{Kind: tcpvet.FourWay}}
	for _, wide := range []bool{false, true} {
		lines := conversationLines(t, ConversationOptions{Wide: wide}, &first, &second, &third)
		if len(lines) != 4 {
			t.Fatalf("%d lines: %q", len(lines), lines)
		}
		for _, line := range lines {
			if i := strings.IndexFunc(line, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }); i >= 0 {
				t.Errorf("a control character at %d of %q", i, line)
			}
		}
		columnOf := func(line, word string) int {
			i := strings.Index(line, word)
			if i < 0 {
				t.Fatalf("%q lacks %q", line, word)
			}
			return utf8.RuneCountInString(line[:i])
		}
		if a, b := columnOf(lines[2], "simultaneous "), columnOf(lines[3], "handshake"); a != b {
			t.Errorf("the openings begin at %d and %d:\n%s", a, b, strings.Join(lines, "\n"))
		}
		if a, b := columnOf(lines[2], long.String()), columnOf(lines[3], "10.0.0.1:2"); a != b {
			t.Errorf("the clients begin at %d and %d:\n%s", a, b, strings.Join(lines, "\n"))
		}
	}
}

func TestConversationsWide(t *testing.T) {
	zone := time.FixedZone("", 2*3600)
	c := conversationsOf(t, "teardown_4pkt.pcap")[0]
	lines := conversationLines(t, ConversationOptions{Wide: true, Zone: zone}, c)
	const want = "1 2026-11-24 15:42:37.089888 820.6 ms 10.8.0.1:35400 10.8.0.2:9090 handshake four-way client 492.5 ms 60.72 ms 9 2 60.76 ms 492.5 ms client - " +
		"TIME-WAIT/CLOSED 5/4 2/0 0/0 0/0 3393657429 653110569 mss 1460,sackOK,TS,wscale 10 mss 1460,sackOK,TS,wscale 10 -"
	got := strings.Join(strings.Fields(lines[1]), " ")
	day := c.Start.In(zone).Format("2006-01-02") // the one on which the capture was taken
	if got != strings.Replace(want, "2026-11-24", day, 1) {
		t.Errorf("printed\n%s\nwant\n%s", got, want)
	}
	if got := string(appendSYNOptions(nil, &tcpvet.SYNOptions{})); got != "none" {
		t.Errorf("a SYN without options has %q", got)
	}
}

func TestConversationsAllocateNothing(t *testing.T) {
	c := conversationsOf(t, "teardown_4pkt.pcap")[0]
	l := NewConversations(discard{}, ConversationOptions{Wide: true})
	if n := testing.AllocsPerRun(1000, func() { l.Conversation(c) }); n > 0 {
		t.Errorf("%v allocations for a line", n)
	}
	s := NewConversationCSV(discard{})
	if n := testing.AllocsPerRun(1000, func() { s.Conversation(c) }); n > 0 {
		t.Errorf("%v allocations for a line of CSV", n)
	}
}

// What encoding/csv reads is what the conversations are.
func TestConversationCSV(t *testing.T) {
	all := conversationsOf(t, append(recordings(t, ".pcap", 18), "article-close-4.txt")...)
	odd := *all[0]
	odd.File, odd.Client = " a,\"b\"\n.pcap", netip.AddrPortFrom(tcpvet.NamedHost("a,b"), 7)
	odd.Notes = []tcpvet.Note{{Kind: tcpvet.ZeroWindow}, {Kind: tcpvet.LingerZeroReset, Certainty: tcpvet.Likely}}
	all = append(all, &odd)
	var b bytes.Buffer
	l := NewConversationCSV(&b)
	if err := l.Head(); err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		if err := l.Conversation(c); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	records, err := csv.NewReader(&b).ReadAll() // which checks that all have as many fields
	if err != nil || len(records) != len(all)+1 {
		t.Fatalf("%d records, want %d; %v", len(records), len(all)+1, err)
	}
	column := func(name string) int {
		i := slices.Index(records[0], name)
		if i < 0 {
			t.Fatalf("no column %s", name)
		}
		return i
	}
	ms := func(d *time.Duration) string {
		if d == nil {
			return ""
		}
		return strconv.FormatFloat(d.Seconds()*1e3, 'f', 3, 64)
	}
	for i, c := range all {
		r := records[i+1]
		cell := func(name string) string { return r[column(name)] }
		millis := func(name string) string {
			f, err := strconv.ParseFloat(cell(name), 64)
			if cell(name) == "" {
				return ""
			}
			if err != nil {
				t.Fatal(err)
			}
			return strconv.FormatFloat(f, 'f', 3, 64)
		}
		var notes []string
		for _, n := range c.Notes {
			word := string(n.Kind)
			if n.Certainty == tcpvet.Likely {
				word += "?"
			}
			notes = append(notes, word)
		}
		start := ""
		if !c.Start.IsZero() {
			start = c.Start.Format(time.RFC3339Nano)
		}
		for _, x := range [][3]string{
			{"n", cell("n"), strconv.Itoa(c.Number)}, {"file", cell("file"), c.File}, {"client", cell("client"), string(appendPlace(nil, c.Client))},
			{"server", cell("server"), string(appendPlace(nil, c.Server))}, {"start", cell("start"), start}, {"open", cell("open"), string(c.Open.Kind)},
			{"duration_ms", millis("duration_ms"), ms(&c.Duration)}, {"connect_ms", millis("connect_ms"), ms(c.Open.Connect)}, {"rtt_ms", millis("rtt_ms"), ms(c.Open.RTT)},
			{"close", cell("close"), string(c.Close.Kind)}, {"first", cell("first"), string(c.Close.First)}, {"reset_by", cell("reset_by"), string(c.Close.ResetBy)},
			{"close_wait_ms", millis("close_wait_ms"), ms(c.Close.PassiveWait)}, {"time_wait", cell("time_wait"), string(c.Close.TimeWait)},
			{"client_packets", cell("client_packets"), strconv.FormatUint(c.FromClient.Packets, 10)}, {"server_bytes", cell("server_bytes"), strconv.FormatUint(c.FromServer.Bytes, 10)},
			{"client_retransmits", cell("client_retransmits"), strconv.FormatUint(c.FromClient.Retransmits, 10)},
			{"server_keepalive_probes", cell("server_keepalive_probes"), strconv.FormatUint(c.FromServer.Probes, 10)}, {"notes", cell("notes"), strings.Join(notes, " ")},
		} {
			if x[1] != x[2] {
				t.Errorf("conversation %d of %s: %s is %q, want %q", c.Number, c.File, x[0], x[1], x[2])
			}
		}
		if o := c.Open.ServerOptions; o == nil {
			if cell("server_mss")+cell("server_sack")+cell("server_fastopen") != "" {
				t.Errorf("conversation %d of %s: options of a SYN that was not seen", c.Number, c.File)
			}
		} else if cell("server_mss") != strconv.Itoa(int(*o.MSS)) || cell("server_wscale") != strconv.Itoa(int(*o.WScale)) || cell("server_sack") != "true" || cell("server_fastopen") != "false" {
			t.Errorf("conversation %d of %s: %q", c.Number, c.File, r)
		}
	}
}
