package manual

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

func man(t *testing.T, p Page) string {
	t.Helper()
	var b strings.Builder
	if err := Man(&b, p); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// pagesOfMan gives a page for each topic, and one for each section.
func pagesOfMan() []Page {
	var pages []Page
	for _, topic := range allTopics() {
		pages = append(pages, Page{
			Name:   "tcpvet-" + strings.ReplaceAll(topic.Name, " ", "-"),
			Title:  topic.Title,
			Date:   "2026-01-31",
			Topics: []Topic{topic},
		})
	}
	for _, g := range New(testRule()).Groups() {
		pages = append(pages, Page{Name: "tcpvet-" + string(g.Section), Title: g.Section.Title(), Date: "2026-01-31", Topics: g.Topics})
	}
	return pages
}

// TestManLints has mandoc and man look at every page.
func TestManLints(t *testing.T) {
	mandoc, man7 := kerneltest.Tool(t, "mandoc"), kerneltest.Tool(t, "man")
	dir := t.TempDir()
	var paths []string
	for _, p := range pagesOfMan() {
		path := filepath.Join(dir, p.Name+".7")
		if err := os.WriteFile(path, []byte(man(t, p)), 0o644); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	if out, err := exec.Command(mandoc, append([]string{"-T", "lint", "-W", "warning"}, paths...)...).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("mandoc: %v\n%s", err, out)
	}
	// man starts four processes for a page: the ones of sections hold all.
	for _, path := range paths[len(paths)-len(New(testRule()).Groups()):] {
		cmd := exec.Command(man7, "--warnings", "-l", path)
		cmd.Env = append(os.Environ(), "MANWIDTH=80", "LC_ALL=C.UTF-8", "MANPAGER=cat")
		var stdout, stderr strings.Builder
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Run(); err != nil || stderr.Len() > 0 || stdout.Len() == 0 {
			t.Errorf("man %s: %v, %d bytes\n%s", filepath.Base(path), err, stdout.Len(), stderr.String())
		}
	}
}

// TestManSaysWhatTextSays compares the words of both, as man prints them.
func TestManSaysWhatTextSays(t *testing.T) {
	mandoc := kerneltest.Tool(t, "mandoc")
	wordsOf := regexp.MustCompile(`[A-Za-z0-9_./-]+`)
	for _, name := range []string{"CLOSE-WAIT", "EADDRNOTAVAIL", "article", "fix c", "segment", "close-wait-leak"} {
		topic, _, ok := New(testRule()).Find(name)
		if !ok {
			t.Fatalf("no topic %q", name)
		}
		cmd := exec.Command(mandoc, "-T", "ascii", "-O", "width=200")
		cmd.Stdin = strings.NewReader(man(t, Page{Name: "tcpvet-x", Title: topic.Title, Date: "2026-01-31", Topics: []Topic{topic}}))
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		overstrike := regexp.MustCompile(`.\x08`)
		printed := map[string]bool{}
		for _, w := range wordsOf.FindAllString(overstrike.ReplaceAllString(string(out), ""), -1) {
			printed[strings.ToLower(strings.Trim(w, ".-"))] = true
		}
		var plainText string
		for _, b := range topic.Blocks() {
			if _, ok := b.(Values); ok {
				continue // of a host, not of a manual page
			}
			p := newPrinter(TextOptions{Width: 500})
			p.block(b, Here{})
			plainText += p.b.String()
		}
		for _, w := range wordsOf.FindAllString(plainText, -1) {
			w = strings.ToLower(strings.Trim(w, ".-"))
			if w != "" && strings.Trim(w, "-") != "" && !printed[w] {
				t.Errorf("%s: the manual page lacks %q", name, w)
			}
		}
	}
}

// TestManKeepsLinesCopyable looks at what a reader would paste.
func TestManKeepsLinesCopyable(t *testing.T) {
	topic := Topic{Name: "x", Title: "y", Body: []Block{
		Commands{{Run: `ss -tanH | awk '{print $1}' ~^\n`}},
		Code{Text: ".starts with a dot\n'and a quote\n\\backslash"},
		Para(".para"),
		Para("**b** *i* `a-b` a-b 44 ms"),
	}}
	got := man(t, Page{Name: "x", Title: "y", Date: "2026-01-31", Topics: []Topic{topic}})
	for _, want := range []string{
		`\fBss \-tanH | awk \(aq{print $1}\(aq \(ti\(ha\en\fR`,
		"\n\\&.starts with a dot\n", "\n\\(aqand a quote\n", "\n\\ebackslash\n", "\n\\&.para\n",
		"\n\\fBb\\fR \\fIi\\fR \\fBa\\-b\\fR a-b 44\\ ms\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("lacks %q:\n%s", want, got)
		}
	}
}

func markdownOf(t *testing.T, topic Topic) string {
	t.Helper()
	var b strings.Builder
	if err := Markdown(&b, topic); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestMarkdown(t *testing.T) {
	topic := Topic{Name: "tcp_x", Title: "a <b>", Body: []Block{
		Para("see `a | b` and **c** *d* x_y 2 * 3"),
		Table{Head: []string{"a", "b"}, Rows: [][]string{{"`x | y`", "z"}}},
		Commands{{Run: "ss -tan", Shows: "all `of` them"}},
		Code{Lang: "go", Text: "x := 1"},
		Code{Text: "```"},
		Terms{{"word", "its meaning"}},
		List{"one", "two"},
		Values{sysctl("net.ipv4.tcp_fin_timeout", "s")},
	}}
	want := "# tcp\\_x: a \\<b>\n" +
		"\nsee `a | b` and **c** *d* x\\_y 2 \\* 3\n" +
		"\n| a | b |\n|---|---|\n| `x \\| y` | z |\n" +
		"\n```sh\n# all of them\nss -tan\n```\n" +
		"\n```go\nx := 1\n```\n" +
		"\n````text\n```\n````\n" +
		"\n- **word**: its meaning\n" +
		"\n- one\n- two\n" +
		"\n`tcpvet explain tcp_x` adds what the host at hand says:\n\n- net.ipv4.tcp\\_fin\\_timeout\n"
	if got := markdownOf(t, topic); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestMarkdownIsBalanced checks every page: fences close, rows of a table have
// the cells of its head.
func TestMarkdownIsBalanced(t *testing.T) {
	cells := func(row string) int { return strings.Count(strings.ReplaceAll(row, `\|`, ""), "|") }
	for _, topic := range allTopics() {
		fenced, head := false, 0
		for line := range strings.SplitSeq(markdownOf(t, topic), "\n") {
			switch {
			case strings.HasPrefix(line, "```"):
				fenced = !fenced
			case fenced:
			case strings.HasPrefix(line, "| "):
				if head == 0 {
					head = cells(line)
				}
				if cells(line) != head {
					t.Errorf("%s: row %q has %d bars, its head %d", topic.Name, line, cells(line), head)
				}
			case line == "":
				head = 0
			}
		}
		if fenced {
			t.Errorf("%s: a fence is left open", topic.Name)
		}
	}
}

func TestRulePage(t *testing.T) {
	got := text(t, RuleTopic(testRule()), Here{}, 80)
	for _, want := range []string{
		"close-wait-leak: a process does not close what its peer has closed\n",
		"The peer closed and close() did not follow. It takes 9 * 75 lines.\n",
		"- never read\n- read and forgotten\n",
		"    ss -tan\n    # comment\n",
		"patience  1 min  longer than a shutdown takes\n",
		"WHAT HELPS\n- Close it.\n- Restart it.\n",
		"WHAT DOES NOT HELP\n- A sysctl: it is another end.\n",
		"learn all\nof: queues, holders.\n",
		"- RFC 9293, section 3.6\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("lacks %q:\n%s", want, got)
		}
	}
}

// FuzzRuleText renders what a rule's author may write.
func FuzzRuleText(f *testing.F) {
	for _, s := range append(testRule().Doc.Text, "```\ncode\n", "- a\n- b\n\npara `open", "**x* y**", "    indented\n\n    more", "\u00a0 s 9 s", "") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r := testRule()
		r.Doc.Text, r.Doc.Cure = []string{s}, []string{s}
		topic := RuleTopic(r)
		joined := 0
		for _, sp := range spans(s) {
			joined += len(sp.text)
		}
		if joined > len(s) || joined+4*strings.Count(s, "*")+2*strings.Count(s, "`") < len(s) {
			t.Errorf("spans of %q hold %d of %d bytes", s, joined, len(s))
		}
		text(t, topic, Here{}, 20)
		markdownOf(t, topic)
		man(t, Page{Name: "x", Title: "y", Topics: []Topic{topic}})
	})
}
