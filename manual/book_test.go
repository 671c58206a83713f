package manual

import (
	"slices"
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// testRule is a rule as package rules has them, with every part of a page.
func testRule() *vet.Rule {
	return &vet.Rule{
		Name: "close-wait-leak",
		Doc: vet.Doc{
			Title:   "a process does not close what its peer has closed",
			Text:    []string{"The peer **closed** and `close()` did not follow. It takes 9 * 75 lines.", "Two kinds:\n\n- never read\n- read and\n  forgotten\n\n    ss -tan\n    # comment"},
			Numbers: []vet.Number{{Name: "patience", Value: "1 min", Reason: "longer than a shutdown takes"}},
			Cure:    []string{"Close it.", "Restart it."},
			Never:   []string{"A *sysctl*: it is another end."},
			See:     []string{"RFC 9293, section 3.6"},
		},
		Needs: tcpvet.FactHolders | tcpvet.FactQueues,
	}
}

func allTopics() []Topic { return New(testRule()).Topics() }

func TestEveryNameIsItsOwn(t *testing.T) {
	owner := map[string]string{}
	for _, topic := range allTopics() {
		for _, name := range append([]string{topic.Name}, topic.Aliases...) {
			key := fold(name)
			if key == "" {
				t.Errorf("%s: alias %q has no letter or digit", topic.Name, name)
			}
			if other, taken := owner[key]; taken {
				t.Errorf("%q is a name of %s and of %s", name, other, topic.Name)
			}
			owner[key] = topic.Name
			got, _, ok := New(testRule()).Find(name)
			if !ok || got.Name != topic.Name {
				t.Errorf("Find(%q) = %q, %v, want %q", name, got.Name, ok, topic.Name)
			}
		}
	}
}

func TestTopicsAreWhole(t *testing.T) {
	book := New(testRule())
	for _, topic := range book.Topics() {
		if topic.Title == "" || strings.HasSuffix(topic.Title, ".") || len(topic.Body) == 0 {
			t.Errorf("%s: title %q, %d blocks", topic.Name, topic.Title, len(topic.Body))
		}
		if topic.Section.Title() == "" {
			t.Errorf("%s: unknown section %q", topic.Name, topic.Section)
		}
		for _, name := range topic.See {
			if other, _, ok := book.Find(name); !ok {
				t.Errorf("%s: see %q: no such topic", topic.Name, name)
			} else if other.Name == topic.Name {
				t.Errorf("%s: sees itself", topic.Name)
			}
		}
		for _, b := range topic.Body {
			table, ok := b.(Table)
			if !ok {
				continue
			}
			for _, row := range table.Rows {
				if len(row) != len(table.Head) {
					t.Errorf("%s: row %q has %d cells, the head %d", topic.Name, row, len(row), len(table.Head))
				}
			}
		}
	}
}

func TestStatesInEverySpelling(t *testing.T) {
	// As ss, netstat, lsof and RFC 9293 print them.
	spelled := map[tcpvet.State][]string{
		tcpvet.Established:   {"ESTAB", "ESTABLISHED", "established"},
		tcpvet.SynSent:       {"SYN-SENT", "SYN_SENT", "syn-sent"},
		tcpvet.SynRecv:       {"SYN-RECV", "SYN_RECV", "SYN_RCVD", "SYN-RECEIVED"},
		tcpvet.FinWait1:      {"FIN-WAIT-1", "FIN_WAIT1", "FIN_WAIT_1", "fin wait 1"},
		tcpvet.FinWait2:      {"FIN-WAIT-2", "FIN_WAIT2", "FIN_WAIT_2"},
		tcpvet.TimeWait:      {"TIME-WAIT", "TIME_WAIT", "timewait"},
		tcpvet.Unconn:        {"UNCONN", "CLOSED", "unconnected"},
		tcpvet.CloseWait:     {"CLOSE-WAIT", "CLOSE_WAIT", "close-wait", "close wait", "state close-wait"},
		tcpvet.LastAck:       {"LAST-ACK", "LAST_ACK"},
		tcpvet.Listen:        {"LISTEN", "LISTENING"},
		tcpvet.Closing:       {"CLOSING"},
		tcpvet.BoundInactive: {"BOUND-INACTIVE", "bound"},
	}
	for _, s := range tcpvet.States {
		if len(spelled[s]) == 0 {
			t.Errorf("no spellings of %v", s)
		}
		for _, name := range spelled[s] {
			topic, _, ok := Find(name)
			if !ok || topic.Name != s.String() || topic.Section != States {
				t.Errorf("Find(%q) = %q, %v, want %v", name, topic.Name, ok, s)
			}
			if parsed, err := tcpvet.ParseState(strings.TrimPrefix(name, "state ")); err != nil || parsed != s {
				t.Errorf("the root package reads %q as %v, %v", name, parsed, err)
			}
		}
	}
}

func TestTopicsThatMustBe(t *testing.T) {
	for _, name := range strings.Fields(`
		tcp_tw_reuse tcp_tw_reuse_delay tcp_fin_timeout ip_local_port_range ip_local_reserved_ports tcp_max_tw_buckets
		tcp_keepalive_time tcp_keepalive_intvl tcp_keepalive_probes tcp_timestamps tcp_tw_recycle tcp_max_orphans
		tcp_abort_on_overflow somaxconn tcp_max_syn_backlog tcp_retries2 nf_conntrack_tcp_timeout_time_wait tcp_syn_retries
		net.ipv4.tcp_tw_reuse net.core.somaxconn net.netfilter.nf_conntrack_tcp_timeout_time_wait
		keepalive linger reuseaddr nagle handshake close ports segment states errnos settings causes fix article
		python go java node php ruby c nginx rust`) {
		if topic, _, ok := Find(name); !ok {
			t.Errorf("no topic %q", name)
		} else if s := topic.Section; strings.HasPrefix(name, "tcp_") && s != Settings {
			t.Errorf("%q is in section %q", name, s)
		}
	}
	for _, lang := range strings.Fields("python go java node php ruby c nginx rust") {
		topic, _, ok := Find("fix " + lang)
		if !ok || topic.Section != Fixes || !slices.ContainsFunc(topic.Body, func(b Block) bool { _, ok := b.(Code); return ok }) {
			t.Errorf("fix %s: %v, section %q: no page with code", lang, ok, topic.Section)
		}
	}
}

func TestIndexListsAllButParts(t *testing.T) {
	book := New(testRule())
	var b strings.Builder
	if err := book.Index(&b, TextOptions{}); err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for line := range strings.SplitSeq(b.String(), "\n") {
		for _, topic := range book.Topics() {
			if rest, ok := strings.CutPrefix(line, "  "+topic.Name); ok && (rest == "" || rest[0] == ' ') {
				listed[topic.Name] = true
			}
		}
	}
	names := book.Names()
	for _, topic := range book.Topics() {
		if topic.Part == listed[topic.Name] || topic.Part == slices.Contains(names, topic.Name) {
			t.Errorf("%s: part %v, in the index %v, in Names %v", topic.Name, topic.Part, listed[topic.Name], slices.Contains(names, topic.Name))
		}
	}
}
