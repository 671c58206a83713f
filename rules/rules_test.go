package rules_test

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/manual"
	"github.com/tcpvet/tcpvet/rules"
	"github.com/tcpvet/tcpvet/rules/ruletest"
	"github.com/tcpvet/tcpvet/vet"
)

// thresholds holds by hand what the design asks of each rule.
var thresholds = map[string][]string{
	"close-wait-leak":    {"1 socket past patience", "10 sockets past patience", "10 more between looks", "under 20.0 % of", "under 1 h", "over 80.0 % of"},
	"port-exhaustion":    {"under 5.0 % left", "under 20.0 % left", "under 50.0 % left", "10.0 % or more", "0 ports usable"},
	"time-wait-pressure": {"50.0 % of the tuple's ports", "80.0 % of ports / 60 s"},
	"fin-wait-2-pileup":  {"10 sockets", "100 sockets", "10.0 % of the service's TIME-WAITs"},
	"half-open":          {"1 connection sent again twice, silent for patience / 4", "1 connection with 2 probes", "10 connections of a process", "10.0 % of its connections", "2 conversations, and 10.0 %"},
	"syn-sent-pileup":    {"3 sockets whose", "10 sockets of a process", "2 conversations, and 10.0 %"},
	"syn-recv-pileup":    {"10 handshakes of a listener", "100 handshakes, or some and over 50.0 % of", "as many as the limit", "tcp_syncookies = 0", "1 more between looks of", "10 cookies more between looks"},
	"last-ack-pileup":    {"10 sockets whose", "100 sockets of one"},
	"no-keepalive":       {"4 min", "10 sockets", "100 sockets"},
	"tableless-sockets":  {"1 socket that had", "10 sockets that had", "over 80.0 % of", "10.0 % of them", "10 more between looks", "10 sockets in both looks"},
	"sysctl-antipattern": {"under 1,000 ports", "50.0 % of the range", "TCPTimeWaitOverflow 1 more between looks", "under 10 s", "under 5 s", "over 10 min"},
	"ipv6-localhost":     {"1 process"},
	"orphan-pressure":    {"50.0 % of tcp_max_orphans", "95.0 % of tcp_max_orphans", "TCPAbortOnMemory 1 more between looks"},
	"conntrack-pressure": {"80.0 % of nf_conntrack_max", "95.0 % of nf_conntrack_max"},
	"bound-ports":        {"20.0 % of the usable", "80.0 % of the usable"},
	"unread-data":        {"1 socket past patience", "10 sockets past patience", "a window of 0 for 1 s", "10.0 % of the service's, 1 s each"},
	"established-growth": {"10 more between looks, and 10.0 % more", "10 sockets at the earlier look", "50.0 % of those", "100 more between looks", "under 1 h"},
	"keepalive-too-late": {"1 socket that surely", "10 sockets of a process", "10 conversations and 10.0 %", "1 request after", "warning from 10"},
	"descriptor-limit":   {"over 80.0 % of", "over 95.0 % of", "50.0 % of the descriptors"},
	"accept-queue-full":  {"length above the limit", "length at the limit", "1 more between looks"},
}

func TestDocs(t *testing.T) {
	for _, r := range rules.All {
		d := r.Doc
		if d.Title == "" || strings.HasSuffix(d.Title, ".") || len(d.Text) < 2 || len(d.Cure) == 0 || len(d.Never) == 0 || len(d.See) == 0 {
			t.Errorf("%s: its page lacks a part", r.Name)
		}
		for _, p := range slices.Concat(d.Text, d.Cure, d.Never) {
			if !strings.HasSuffix(p, ".") || strings.Contains(p, "\n") {
				t.Errorf("%s: no paragraph: %q", r.Name, p)
			}
		}
		var values []string
		for _, n := range d.Numbers {
			if n.Name == "" || n.Value == "" || len(n.Reason) < 15 {
				t.Errorf("%s: a number without its reason: %+v", r.Name, n)
			}
			values = append(values, n.Value)
		}
		if len(thresholds[r.Name]) == 0 {
			t.Errorf("%s: no thresholds to compare with", r.Name)
		}
		for _, want := range thresholds[r.Name] {
			if !slices.ContainsFunc(values, func(v string) bool { return strings.Contains(v, want) }) {
				t.Errorf("%s: its page does not give the threshold %q, but %q", r.Name, want, values)
			}
		}
	}
}

func TestFind(t *testing.T) {
	for _, r := range rules.All {
		if rules.Find(r.Name) != r {
			t.Errorf("%s is not found by its name", r.Name)
		}
	}
	if rules.Find("close-wait") != nil {
		t.Error("a part of a name finds a rule")
	}
}

// all gives every fixture of every rule.
func all(t *testing.T) []ruletest.Fixture {
	t.Helper()
	var fixtures []ruletest.Fixture
	for _, r := range rules.All {
		for _, f := range ruletest.Load(t, filepath.Join(r.Name, "testdata")) {
			f.Name = r.Name + "/" + f.Name
			fixtures = append(fixtures, f)
		}
	}
	return fixtures
}

// verbs are those that the command has.
var verbs = []string{"count", "ls", "diagnose", "explain", "snapshot", "demo", "trace", "fix", "run", "probe"}

var (
	ownCommand = regexp.MustCompile(`tcpvet (\w+)`)

	// slow are commands that make a sick host sicker: ss -p is quadratic, and
	// lsof reads every process.
	slow = regexp.MustCompile(`\bss\s+-\w*p|\bss\s[^|]*\s-\w*p\b|\blsof\b`)

	// harmful are settings and options that break something, or do nothing
	// for what they are set for.
	harmful = regexp.MustCompile(`tcp_tw_recycle|SO_LINGER|tcp_fin_timeout|tcp_max_tw_buckets|tcp_abort_on_overflow|nf_conntrack`)
)

// cures holds what a rule may say all the same: conntrack is what the one is about,
// and the other takes harmful settings back.
var cures = map[string]*regexp.Regexp{
	"conntrack-pressure": regexp.MustCompile(`tcpvet fix sysctl net\.netfilter\.nf_conntrack_max=`),
	"sysctl-antipattern": regexp.MustCompile(`tcpvet explain \w+|tcpvet fix sysctl net\.ipv4\.(tcp_abort_on_overflow|tcp_tw_recycle)=0`),
}

// forbidden holds a finding to what the design rules out; "" where it keeps to
// it.
func forbidden(f tcpvet.Finding) string {
	leak := f.Rule == "close-wait-leak"
	if f.Rule == "port-exhaustion" {
		leak = slices.ContainsFunc(f.Detail, func(d string) bool { return strings.Contains(d, "leak") })
	}
	for _, r := range f.Remedies {
		text := r.String() + " " + r.Command()
		if cure := cures[f.Rule]; cure != nil {
			text = cure.ReplaceAllString(text, "")
		}
		if m := harmful.FindString(text); m != "" {
			return "it advises " + m
		}
		if leak && (r.Risk() == tcpvet.ChangesKernel || strings.Contains(text, "sysctl") || strings.Contains(text, "port_range")) {
			return "it advises a setting against a leak: " + text
		}
	}
	text := ruletest.Text(f)
	if m := slow.FindString(text); m != "" {
		return "it prints " + m
	}
	for _, m := range ownCommand.FindAllStringSubmatch(text, -1) {
		if !slices.Contains(verbs, m[1]) {
			return "it names a verb that there is not: " + m[0]
		}
	}
	return ""
}

func TestNeverAdvised(t *testing.T) {
	book := manual.New(rules.All...)
	n := 0
	for _, f := range all(t) {
		for _, found := range vet.Run(f.Case, rules.All).Findings {
			n++
			if why := forbidden(found); why != "" {
				t.Errorf("%s: %s: %s\n%s", f.Name, found.Rule, why, ruletest.Text(found))
			}
			for _, r := range found.Remedies {
				topic, ok := strings.CutPrefix(r.Command(), "tcpvet explain ")
				if !ok {
					continue
				}
				if _, near, ok := book.Find(topic); !ok {
					t.Errorf("%s: %s names the topic %q, which the manual lacks (near: %v)", f.Name, found.Rule, topic, near)
				}
			}
		}
	}
	if n < 25 {
		t.Errorf("only %d findings were looked at", n)
	}
}

// TestForbidden sees that the test above would notice.
func TestForbidden(t *testing.T) {
	advise := func(text string) tcpvet.Finding {
		return tcpvet.Finding{Remedies: []tcpvet.Remedy{tcpvet.Advise{Text: text}}}
	}
	check := func(line string) tcpvet.Finding {
		return tcpvet.Finding{Evidence: []tcpvet.Evidence{{Check: line}}}
	}
	leak := tcpvet.Finding{Rule: "close-wait-leak", Remedies: []tcpvet.Remedy{tcpvet.SetSysctl{Name: "net.ipv4.ip_local_port_range", Value: "1024 65535"}}}
	for _, f := range []tcpvet.Finding{
		advise("set SO_LINGER to 0"), advise("try tcp_tw_recycle"), advise("lower tcp_fin_timeout"), advise("run tcpvet repair"),
		tcpvet.Finding{Rule: "sysctl-antipattern", Remedies: []tcpvet.Remedy{tcpvet.SetSysctl{Name: "net.ipv4.tcp_tw_recycle", Value: "1"}}},
		check("ss -tanp | wc -l"), check("ss -Htn state close-wait -p"), check("lsof -i"), leak,
	} {
		if forbidden(f) == "" {
			t.Errorf("nothing is found wrong with\n%s", ruletest.Text(f))
		}
	}
	if why := forbidden(check("ss -Htan src 10.0.0.5 dst 10.0.3.7:8080 sport ge :1 | wc -l")); why != "" {
		t.Errorf("a sound command is refused: %s", why)
	}
}

// TestOtherFactsAreSkipped judges what says next to nothing.
func TestOtherFactsAreSkipped(t *testing.T) {
	r := vet.Run(tcpvet.Case{}, rules.All)
	var skipped []string
	for _, s := range r.Skipped {
		skipped = append(skipped, s.Rule)
	}
	want := []string{"tableless-sockets", "accept-queue-full", "unread-data", "syn-recv-pileup", "half-open", "syn-sent-pileup", "sysctl-antipattern", "time-wait-pressure", "bound-ports", "port-exhaustion", "descriptor-limit", "fin-wait-2-pileup", "last-ack-pileup", "no-keepalive", "ipv6-localhost", "orphan-pressure", "conntrack-pressure"}
	if !slices.Equal(skipped, want) || len(r.Findings) != 0 {
		t.Errorf("skipped %v, want %v; %d findings", skipped, want, len(r.Findings))
	}
}
