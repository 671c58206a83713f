package manual

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// commands gives every command of the manual once.
func commands() []Command {
	var all []Command
	for _, topic := range allTopics() {
		for _, b := range topic.Blocks() {
			cs, _ := b.(Commands)
			for _, c := range cs {
				if !slices.ContainsFunc(all, func(o Command) bool { return o.Run == c.Run }) {
					all = append(all, c)
				}
			}
		}
	}
	return all
}

// prose gives the running text of a topic, piece by piece.
func prose(topic Topic) []string {
	texts := []string{topic.Title}
	for _, b := range topic.Blocks() {
		switch b := b.(type) {
		case Heading:
			texts = append(texts, string(b))
		case Para:
			texts = append(texts, string(b))
		case List:
			texts = append(texts, b...)
		case Terms:
			for _, term := range b {
				texts = append(texts, term.Word, term.Text)
			}
		case Table:
			texts = append(texts, b.Head...)
			for _, row := range b.Rows {
				texts = append(texts, row...)
			}
		case Commands:
			for _, c := range b {
				texts = append(texts, c.Shows)
			}
		case Values:
			for _, v := range b {
				texts = append(texts, v.Label)
			}
		}
	}
	return texts
}

// verbs are the verbs of the command that a text may name.
var verbs = strings.Fields("count ls diagnose explain snapshot pcap capture demo budget why probe lab trace fix run")

// TestCommandsNameVerbsAndTopicsThatExist reads commands and code in the text.
func TestCommandsNameVerbsAndTopicsThatExist(t *testing.T) {
	book := New(testRule())
	check := func(where, run string) {
		rest, ok := strings.CutPrefix(run, "tcpvet ")
		if !ok {
			return
		}
		verb, args, _ := strings.Cut(rest, " ")
		if !slices.Contains(verbs, verb) {
			t.Errorf("%s: %q: no verb %q", where, run, verb)
		}
		if verb == "explain" && args != "" {
			if _, _, ok := book.Find(args); !ok {
				t.Errorf("%s: %q: no such topic", where, run)
			}
		}
	}
	seen := 0
	for _, topic := range allTopics() {
		for _, text := range prose(topic) {
			for _, sp := range spans(text) {
				if sp.mark == code {
					seen++
					check(topic.Name, sp.text)
				}
			}
		}
	}
	for _, c := range commands() {
		seen++
		check("a command", c.Run)
	}
	if seen < 200 {
		t.Errorf("only %d pieces of code in the whole manual", seen)
	}
}

// TestCommandsAreSafeOnASickHost refuses what is quadratic in the number of
// sockets, or worse than the disease.
func TestCommandsAreSafeOnASickHost(t *testing.T) {
	forbidden := regexp.MustCompile(`\blsof\b|\bss\s+-[a-zA-Z]*p|--processes|netstat\s+-[a-z]*p|tcp_tw_recycle=|grep -r`)
	for _, c := range commands() {
		if m := forbidden.FindString(c.Run); m != "" {
			t.Errorf("%q runs %q", c.Run, m)
		}
		if strings.HasPrefix(c.Run, "ss -Ktn") || strings.HasPrefix(c.Run, "sysctl -w") {
			if !c.Changes || !c.Root {
				t.Errorf("%q is not marked as what it is", c.Run)
			}
		}
	}
}

// TestNoMarkIsLeftOpen finds a backtick or stars that a reader would see.
func TestNoMarkIsLeftOpen(t *testing.T) {
	for _, topic := range allTopics() {
		for _, text := range prose(topic) {
			for _, sp := range spans(text) {
				if sp.mark != code && (strings.Contains(sp.text, "`") || strings.Contains(sp.text, "**")) {
					t.Errorf("%s: mark left open in %q", topic.Name, text)
				}
			}
			for _, r := range text {
				if r > 126 {
					t.Errorf("%s: %q in %q: the manual is plain ASCII", topic.Name, r, text)
				}
			}
		}
	}
}

// TestCauseWords compares with the vocabulary of docs that programs read.
func TestCauseWords(t *testing.T) {
	vocabulary := strings.Fields(`ports-exhausted reserved-ports bound-ports tuple-exists address-not-local ipv6-disabled
		loopback-down no-source-address source-scope no-route refused reset timed-out descriptor-limit name-not-found unknown`)
	var listed []string
	topic, _, _ := Find("causes")
	for _, b := range topic.Body {
		if table, ok := b.(Table); ok {
			for _, row := range table.Rows {
				listed = append(listed, unmarked(row[0]))
			}
		}
	}
	if !slices.Equal(listed, vocabulary) {
		t.Errorf("the page lists\n%q, want\n%q", listed, vocabulary)
	}

	used := map[string]map[string]bool{} // word to the errors of its table
	for _, p := range errnoPages() {
		if len(p.causes) == 0 {
			t.Errorf("%s has no causes", p.name)
		}
		for _, c := range p.causes {
			if c.word == "" {
				continue
			}
			if !slices.Contains(vocabulary, c.word) {
				t.Errorf("%s: unknown cause %q", p.name, c.word)
			}
			if used[c.word] == nil {
				used[c.word] = map[string]bool{}
			}
			used[c.word][p.name] = true
		}
	}
	for _, word := range vocabulary {
		if word != "unknown" && word != "name-not-found" && used[word] == nil {
			t.Errorf("no page of an error has the cause %q", word)
		}
	}
	// The table of causes and the pages of the errors agree, where the
	// errors have a page each.
	for _, b := range topic.Body {
		table, ok := b.(Table)
		if !ok {
			continue
		}
		for _, row := range table.Rows {
			for name := range used[unmarked(row[0])] {
				if !strings.Contains(row[1], name) {
					t.Errorf("%s is a cause of %s, and the list of causes says %q", row[0], name, row[1])
				}
			}
		}
	}
}

// TestSettingsExist asks the kernel for each setting that a page shows.
func TestSettingsExist(t *testing.T) {
	notEverywhere := map[string]bool{
		"net.ipv4.tcp_tw_reuse_delay":                      true, // newer kernels
		"net.ipv4.tcp_syn_linear_timeouts":                 true, // Linux 6.5
		"net.ipv4.tcp_max_orphans":                         true, // first namespace only
		"net.netfilter.nf_conntrack_tcp_timeout_time_wait": true, // with conntrack
	}
	seen := 0
	for _, topic := range allTopics() {
		for _, b := range topic.Body {
			vs, _ := b.(Values)
			for _, v := range vs {
				if !strings.HasPrefix(v.Label, "net.") {
					continue
				}
				seen++
				path := filepath.Join("/proc/sys", strings.ReplaceAll(v.Label, ".", "/"))
				if _, err := os.Stat(path); err != nil && !notEverywhere[v.Label] {
					t.Errorf("%s: %v", topic.Name, err)
				}
			}
		}
	}
	if seen < 50 {
		t.Errorf("only %d settings shown", seen)
	}
}

// TestRootDefaults compares the defaults that the pages state with those of a
// namespace just made.
func TestRootDefaults(t *testing.T) {
	kerneltest.Netns(t)
	byMemory := map[string]bool{"tcp_max_tw_buckets": true, "nf_conntrack_max": true, "tcp_max_syn_backlog": true, "tcp_max_orphans": true}
	for _, p := range settingPages() {
		if p.gone || byMemory[p.name] {
			continue
		}
		raw, err := os.ReadFile(filepath.Join("/proc/sys", strings.ReplaceAll(p.full, ".", "/")))
		if os.IsNotExist(err) && strings.Contains(p.standard, "kernels without") || os.IsNotExist(err) && strings.Contains(p.standard, "only where") {
			continue
		}
		if err != nil {
			t.Error(err)
			continue
		}
		got := strings.Join(strings.Fields(string(raw)), " ")
		if got == "" {
			got = "empty"
		}
		if p.standard != got && !strings.HasPrefix(p.standard, got+" ") && !strings.HasPrefix(p.standard, got+",") {
			t.Errorf("%s: the kernel's default is %q, the page says %q", p.name, got, p.standard)
		}
	}
}
