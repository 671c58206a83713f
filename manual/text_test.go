package manual

import (
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet"
)

func text(t *testing.T, topic Topic, here Here, width int) string {
	t.Helper()
	var b strings.Builder
	if err := Text(&b, topic, here, TextOptions{Width: width}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// page prints the named topic for the host of here, in lines that hold any value.
func page(t *testing.T, name string) string {
	t.Helper()
	topic, _, ok := Find(name)
	if !ok {
		t.Fatalf("no topic %q", name)
	}
	return text(t, topic, here(), 120)
}

// here is a host with settings that are nobody's defaults.
func here() Here {
	ports := tcpvet.Ports{Low: 10000, High: 10999}
	ports.Reserved.Add(10990, 20000)
	var states [tcpvet.NumStates]uint64
	states[tcpvet.CloseWait] = 27352
	states[tcpvet.TimeWait] = 4
	return Here{
		Netns: &tcpvet.Netns{
			Sysctls: map[string]string{
				"net.ipv4.tcp_fin_timeout":      "17",
				"net.ipv4.tcp_tw_reuse":         "1",
				"net.ipv4.tcp_tw_reuse_delay":   "500",
				"net.ipv4.tcp_timestamps":       "1",
				"net.ipv4.tcp_keepalive_time":   "1800",
				"net.ipv4.tcp_keepalive_intvl":  "15",
				"net.ipv4.tcp_keepalive_probes": "5",
				"net.ipv4.ip_local_port_range":  "10000\t10999",
			},
			Counters: map[string]uint64{"TcpExtTCPTimeWaitOverflow": 1234567},
			Ports:    &ports,
		},
		Host:   &tcpvet.Host{Counters: map[string]uint64{"orphans": 31, "tcp_max_orphans": 131072}},
		States: &states,
	}
}

// squeeze makes runs of spaces one, so that columns do not matter.
func squeeze(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = strings.Join(strings.Fields(l), " ")
	}
	return "\n" + strings.Join(lines, "\n") + "\n"
}

func TestValuesOfThisHost(t *testing.T) {
	for _, test := range []struct{ topic, line string }{
		{"CLOSE-WAIT", "sockets in CLOSE-WAIT 27,352"},
		{"states", "sockets in TIME-WAIT 4"},
		{"states", "sockets in LISTEN 0"},
		{"FIN-WAIT-2", "net.ipv4.tcp_fin_timeout 17 s"},
		{"tcp_fin_timeout", "net.ipv4.tcp_fin_timeout 17 s"},
		{"ip_local_port_range", "net.ipv4.ip_local_port_range 10000 10999"},
		// 1,000 ports, of which 10990-10999 are reserved; 990 / 60 = 16.5; 990 / 0.5 = 1,980.
		{"ports", "local ports 10000-10999: 1,000 ports - 10 reserved = 990"},
		{"ports", "connections to one tuple 16.5/s (990 ports / 60 s)"},
		{"tcp_tw_reuse", "with tcp_tw_reuse 1,980.0/s (990 ports / 0.5 s), if the peer has timestamps"},
		// 1800 + 5 x 15 = 1,875.
		{"keepalive", "a silent peer is given up after 1,875 s (1,800 + 5 x 15)"},
		{"tcp_max_tw_buckets", "TcpExtTCPTimeWaitOverflow 1,234,567"},
		{"tcp_max_orphans", "orphans now 31"},
		{"tcp_max_orphans", "at most, by the host 131,072"},
	} {
		if got := squeeze(page(t, test.topic)); !strings.Contains(got, "\n"+test.line+"\n") {
			t.Errorf("%s lacks the line %q:\n%s", test.topic, test.line, got)
		}
	}
}

func TestReuseOfThisHost(t *testing.T) {
	for _, test := range []struct{ reuse, stamps, want string }{
		{"1", "1", "1,980.0/s (990 ports / 0.5 s), if the peer has timestamps"},
		{"2", "1", "1,980.0/s (990 ports / 0.5 s), over loopback only"},
		{"0", "1", "no reuse: it is off, here or by tcp_timestamps"},
		{"1", "0", "no reuse: it is off, here or by tcp_timestamps"},
		{"", "1", notRead},
	} {
		h := here()
		h.Netns.Sysctls["net.ipv4.tcp_tw_reuse"] = test.reuse
		h.Netns.Sysctls["net.ipv4.tcp_timestamps"] = test.stamps
		if got := reused().text(h); got != test.want {
			t.Errorf("tcp_tw_reuse %q, tcp_timestamps %q: %q, want %q", test.reuse, test.stamps, got, test.want)
		}
	}
}

// TestAbsentIsSaid prints every value of every page for a host of which
// nothing is known, and for one of which little is.
func TestAbsentIsSaid(t *testing.T) {
	little := Here{Netns: &tcpvet.Netns{}, Host: &tcpvet.Host{}}
	values := 0
	for _, topic := range allTopics() {
		for _, b := range topic.Body {
			vs, ok := b.(Values)
			if !ok {
				continue
			}
			for _, v := range vs {
				values++
				for _, h := range []Here{{}, little} {
					if got := v.text(h); got != notRead {
						t.Errorf("%s: %s of an unknown host is %q", topic.Name, v.Label, got)
					}
				}
			}
			if !strings.Contains(text(t, topic, Here{}, 80), notRead) {
				t.Errorf("%s does not say %q", topic.Name, notRead)
			}
		}
	}
	if values < 50 {
		t.Errorf("only %d values in the whole manual", values)
	}
}

// TestLinesKeepTheWidth allows longer lines for code, commands and single
// words only.
func TestLinesKeepTheWidth(t *testing.T) {
	for _, width := range []int{40, 80} {
		for _, topic := range allTopics() {
			free := map[string]bool{}
			for _, b := range topic.Blocks() {
				switch b := b.(type) {
				case Code:
					for line := range strings.SplitSeq(b.Text, "\n") {
						free[strings.TrimSpace(strings.ReplaceAll(line, "\t", tab))] = true
					}
				case Commands:
					for _, c := range b {
						free[c.Run] = true
					}
				}
			}
			for line := range strings.SplitSeq(text(t, topic, here(), width), "\n") {
				if line != strings.TrimRight(line, " ") {
					t.Errorf("%s, width %d: line ends in a space: %q", topic.Name, width, line)
				}
				body := strings.TrimSpace(line)
				if runes(line) > width && !free[body] && strings.Contains(strings.TrimPrefix(body, "- "), " ") {
					t.Errorf("%s, width %d: line of %d: %q", topic.Name, width, runes(line), line)
				}
			}
		}
	}
}

// TestDrawingsFit holds what is never wrapped to a terminal of 80 columns.
func TestDrawingsFit(t *testing.T) {
	for _, topic := range allTopics() {
		for _, b := range topic.Body {
			c, ok := b.(Code)
			if !ok {
				continue
			}
			for line := range strings.SplitSeq(c.Text, "\n") {
				if n := runes(strings.ReplaceAll(line, "\t", tab)); n+codeIndent > 80 {
					t.Errorf("%s: %d columns: %q", topic.Name, n, line)
				}
			}
		}
	}
}

// TestStyleKeepsTheLayout colours a page and takes the colour off again.
func TestStyleKeepsTheLayout(t *testing.T) {
	on := func(s string) string { return "\x1b[1m" + s + "\x1b[0m" }
	off := strings.NewReplacer("\x1b[1m", "", "\x1b[0m", "")
	style := Style{Title: on, Heading: on, Code: on, Strong: on, Value: on, Absent: on}
	for _, topic := range allTopics() {
		for _, width := range []int{40, 80} {
			var b strings.Builder
			if err := Text(&b, topic, here(), TextOptions{Width: width, Style: style}); err != nil {
				t.Fatal(err)
			}
			if got, want := off.Replace(b.String()), text(t, topic, here(), width); got != want {
				t.Errorf("%s, width %d: colour moves the layout:\n%s\nwant\n%s", topic.Name, width, got, want)
			}
			if !strings.HasPrefix(b.String(), "\x1b[1m") {
				t.Errorf("%s: title without style", topic.Name)
			}
		}
	}
}

func TestInlineMarks(t *testing.T) {
	for _, test := range []struct {
		in   string
		want []span
	}{
		{"plain", []span{{plain, "plain"}}},
		{"run `ss -tan` now", []span{{plain, "run "}, {code, "ss -tan"}, {plain, " now"}}},
		{"**both** and *one*", []span{{strong, "both"}, {plain, " and "}, {stressed, "one"}}},
		{"9 * 75 and 2 * 3", []span{{plain, "9 * 75 and 2 * 3"}}},
		{"open `code", []span{{plain, "open `code"}}},
		{"2 * x* y", []span{{plain, "2 * x* y"}}},
		{"a*b is a product", []span{{plain, "a*b is a product"}}},
		{"``", []span{{plain, "``"}}},
		{"`awk '{print $1 * 2}'`", []span{{code, "awk '{print $1 * 2}'"}}},
	} {
		got := spans(test.in)
		if len(got) != len(test.want) {
			t.Errorf("spans(%q) = %v, want %v", test.in, got, test.want)
			continue
		}
		for i := range got {
			if got[i] != test.want[i] {
				t.Errorf("spans(%q)[%d] = %v, want %v", test.in, i, got[i], test.want[i])
			}
		}
	}
}

func TestCodeAndUnitsStayWhole(t *testing.T) {
	p := newPrinter(TextOptions{Width: 20})
	p.para("it took exactly 44 ms, see `ss -tan state x` now", 0, nil)
	want := "it took exactly\n44 ms, see\nss -tan state x now\n"
	if got := p.b.String(); got != want {
		t.Errorf("wrapped to\n%swant\n%s", got, want)
	}
}

func TestValuesBesideAndBelowTheirLabels(t *testing.T) {
	vs := Values{
		{"short", func(Here) (string, bool) { return "28,232 ports and some words more", true }},
		{"a label", func(Here) (string, bool) { return "", false }},
	}
	for width, want := range map[int]string{
		40: "    short    28,232 ports and some words\n             more\n    a label  not read here\n",
		30: "    short\n      28,232 ports and some\n      words more\n    a label\n      not read here\n",
	} {
		p := newPrinter(TextOptions{Width: width})
		p.values(vs, Here{})
		if got := p.b.String(); got != want {
			t.Errorf("width %d:\n%s\nwant\n%s", width, got, want)
		}
	}
}

func TestGrouped(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 28232: "28,232", 1234567: "1,234,567", -4321: "-4,321"} {
		if got := grouped(n); got != want {
			t.Errorf("grouped(%d) = %q, want %q", n, got, want)
		}
	}
	if got := grouped(^uint64(0)); got != "18,446,744,073,709,551,615" {
		t.Errorf("grouped(2^64-1) = %q", got)
	}
}
