package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tcpvet/tcpvet"
)

// shape is an element of a picture.
type shape struct {
	kind, text string
	attr       map[string]string
}

func (s *shape) number(t testing.TB, name string) int {
	t.Helper()
	n, err := strconv.Atoi(s.attr[name])
	if err != nil {
		t.Fatalf("%s of a %s: %v", name, s.kind, err)
	}
	return n
}

// shapes reads a picture as XML.
func shapes(t testing.TB, picture []byte) []shape {
	t.Helper()
	var all []shape
	dec := xml.NewDecoder(bytes.NewReader(picture))
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, picture)
		}
		switch token := token.(type) {
		case xml.StartElement:
			s := shape{kind: token.Name.Local, attr: map[string]string{}}
			for _, a := range token.Attr {
				s.attr[a.Name.Local] = a.Value
			}
			all = append(all, s)
		case xml.CharData:
			all[max(len(all)-1, 0)].text += strings.TrimSpace(string(token))
		}
	}
}

func svgOf(t testing.TB, c *tcpvet.Conversation, lines []LadderLine, o SVGOptions) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := WriteSVG(&b, c, lines, o); err != nil {
		t.Fatal(err)
	}
	if !utf8.Valid(b.Bytes()) {
		t.Fatalf("no UTF-8: %q", b.Bytes())
	}
	return b.Bytes()
}

// extent is what a text covers, wider than DejaVu Sans is on average.
func (s *shape) extent(t testing.TB) (left, top, right, bottom int) {
	x, y, width := s.number(t, "x"), s.number(t, "y"), svgChar*utf8.RuneCountInString(s.text)
	switch s.attr["text-anchor"] {
	case "middle":
		x -= width / 2
	case "end":
		x -= width
	}
	return x, y - svgFont + 2, x + width, y + 1
}

// The picture is XML, every text is within it and none covers another, and the
// bars are the states that the segments led to, one after the other without a
// hole.
func TestSVG(t *testing.T) {
	for _, name := range append(recordings(t, ".pcap", 18), "article-close-4.txt", "article-close-3.txt", "article-handshake.txt") {
		c, lines := ladderOf(t, name)
		if name == "article-close-3.txt" { // the longest names that ends can have
			c.Client = netip.MustParseAddrPort("[2001:db8:1111:2222:3333:4444:5555:6666]:65535")
			c.Server = netip.AddrPortFrom(tcpvet.NamedHost(strings.Repeat("host.", 50)), 443)
		}
		all := shapes(t, svgOf(t, c, lines, SVGOptions{}))
		width, height := all[0].number(t, "width"), all[0].number(t, "height")
		var texts []*shape
		var words []string
		bars := map[string][]*shape{}
		arrows := 0
		for i := range all {
			s := &all[i]
			switch s.kind {
			case "text":
				texts = append(texts, s)
				words = append(words, s.text)
			case "rect":
				if s.attr["stroke"] != "" {
					bars[s.attr["x"]] = append(bars[s.attr["x"]], s)
				}
			case "polygon":
				arrows++
			}
		}
		for i, a := range texts {
			l1, t1, r1, b1 := a.extent(t)
			if l1 < 0 || t1 < 0 || r1 > width || b1 > height {
				t.Errorf("%s: %q is at %d,%d to %d,%d of %d,%d", name, a.text, l1, t1, r1, b1, width, height)
			}
			for _, b := range texts[:i] {
				l2, t2, r2, b2 := b.extent(t)
				if l1 < r2 && l2 < r1 && t1 < b2 && t2 < b1 {
					t.Errorf("%s: %q covers %q", name, a.text, b.text)
				}
			}
		}
		whole := strings.Join(words, " ")
		for _, n := range c.Notes {
			if !strings.Contains(whole, n.Text) {
				t.Errorf("%s: it lacks the note %q", name, n.Text)
			}
		}
		folded := 0
		for _, w := range words {
			if m := foldedSegments.FindStringSubmatch(w); m != nil {
				n, _ := strconv.Atoi(strings.ReplaceAll(m[1], ",", ""))
				folded += n
			}
		}
		if arrows+folded != len(lines) {
			t.Errorf("%s: %d arrows and %d segments in folds, of %d", name, arrows, folded, len(lines))
		}
		for _, end := range []struct {
			x     int
			state func(*LadderLine) tcpvet.State
		}{
			{svgClient, func(l *LadderLine) tcpvet.State { return l.Step.ClientAfter }},
			{svgServer, func(l *LadderLine) tcpvet.State { return l.Step.ServerAfter }},
		} {
			var want []string // the colours
			var before tcpvet.State
			for i := range lines {
				if s := end.state(&lines[i]); s != before {
					before = s
					want = append(want, stateColors[s])
				}
			}
			var got []string
			for i, bar := range bars[strconv.Itoa(end.x-svgBar/2)] {
				got = append(got, bar.attr["fill"])
				if i > 0 {
					if above := bars[bar.attr["x"]][i-1]; above.number(t, "y")+above.number(t, "height") != bar.number(t, "y") {
						t.Errorf("%s: a hole between two states", name)
					}
				}
			}
			if strings.Join(got, " ") != strings.Join(want, " ") {
				t.Errorf("%s: the bars at %d are %v, want %v", name, end.x, got, want)
			}
		}
	}
}

// Nothing in the texts of a capture leaves its place in the XML.
func TestSVGIsSafe(t *testing.T) {
	c, lines := ladderOf(t, "teardown_4pkt.pcap")
	sound := shapes(t, svgOf(t, c, lines, SVGOptions{}))
	evil := *c
	evil.File = `a"><script>alert(1)</script>&amp;` + "\x00\x1b\xff\ufffe.pcap"
	evil.Client = netip.AddrPortFrom(tcpvet.NamedHost("<b>"+strings.Repeat("&", 200)+"\xff"), 1)
	evil.Notes = []tcpvet.Note{{Kind: "<i>", Text: `"<&>'`}}
	got := shapes(t, svgOf(t, &evil, lines, SVGOptions{}))
	if len(got) != len(sound)+1 { // the note
		t.Errorf("%d elements, want %d", len(got), len(sound)+1)
	}
	if last := got[len(got)-1].text; last != `<i>: "<&>'` {
		t.Errorf("the note reads %q", last)
	}
	if all := shapes(t, svgOf(t, c, nil, SVGOptions{})); len(all) < 8 {
		t.Errorf("without segments: %d elements", len(all))
	}
}

// Every state that an end can be in has a colour of its own, but for the two
// halves of opening.
func TestStateColors(t *testing.T) {
	seen := map[string]tcpvet.State{}
	for _, s := range tcpvet.States {
		if s == tcpvet.Listen || s == tcpvet.BoundInactive {
			continue
		}
		color := stateColors[s]
		if color == "" {
			t.Errorf("%v has no colour", s)
		}
		if other, ok := seen[color]; ok && s != tcpvet.SynRecv {
			t.Errorf("%v looks like %v", s, other)
		}
		seen[color] = s
	}
}
