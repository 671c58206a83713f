package report

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/report/jsonv1"
	"github.com/tcpvet/tcpvet/vet"
)

// widest is a tuple whose every column of the table is as wide as IPv4 allows.
func widest() *Budget {
	who, other := tcpvet.Process{PID: 4194304}, tcpvet.Process{PID: 7}
	t := tcpvet.Tuple{Netns: 5, Local: netip.MustParseAddr("192.168.100.100"), Remote: netip.MustParseAddrPort("192.168.200.200:65535")}
	b := &tcpvet.Budget{CloseWaitBorn: tcpvet.Births{Last10s: 1, Last60s: 6}}
	b.Taken[tcpvet.CloseWait], b.Taken[tcpvet.FinWait1] = 22000, 23000
	group := func(p tcpvet.Process) tcpvet.Group {
		return tcpvet.Group{Netns: 5, Holder: p, Role: tcpvet.Client, Local: t.Local, Service: t.Remote}
	}
	tally := func(n uint32) *tcpvet.Tally {
		t := new(tcpvet.Tally)
		t.States[tcpvet.CloseWait] = n
		return t
	}
	c := &tcpvet.Census{
		Facts:     tcpvet.FactHolders | tcpvet.FactInode | tcpvet.FactInfo,
		Netns:     map[tcpvet.NetnsID]tcpvet.Netns{5: {Ports: &tcpvet.Ports{Low: 1024, High: 65535}}},
		Tuples:    map[tcpvet.Tuple]*tcpvet.Budget{t: b},
		Groups:    map[tcpvet.Group]*tcpvet.Tally{group(who): tally(22000), group(other): tally(1)},
		Processes: map[tcpvet.Process]tcpvet.ProcessInfo{who: {Comm: "fifteen-letters"}, other: {Comm: "short"}},
	}
	return &Budget{Census: c, Uses: vet.TupleUses(c, t)}
}

func TestBudgetTableFits(t *testing.T) {
	b := widest()
	var out bytes.Buffer
	if err := b.Table(&out, false, 100); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 100 {
			t.Errorf("%d characters: %s", n, line)
		}
	}
	// 19,512 left of 64,512; at 0.1/s they last 195,120 s: 2 d 6 h 12 min.
	for _, want := range []string{"45000", "19512", "30.2", "FIN-WAIT-1", "2d06h", "[4194304]+1"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("lacks %q:\n%s", want, out.String())
		}
	}
}

// Tuples of one namespace need no word about it; of two they do.
func TestBudgetNamesNamespaces(t *testing.T) {
	b := widest()
	print := func() string {
		var out bytes.Buffer
		if err := b.Table(&out, false, 100); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if text := print(); strings.Contains(text, "Netns") {
		t.Errorf("one namespace is named:\n%s", text)
	}
	other := b.Uses[0]
	other.Netns = 77
	b.Uses = append(b.Uses, other)
	if text := print(); !strings.HasPrefix(text, "Netns  ") || !strings.Contains(text, "\n77 ") {
		t.Errorf("two namespaces are not told apart:\n%s", text)
	}
}

// TestBudgetUnknown: what the look could not tell is a dash or null, and no zero.
func TestBudgetUnknown(t *testing.T) {
	b := widest()
	tuple := b.Uses[0].Tuple
	b.Census.Facts = 0
	b.Census.Tuples[tuple].CloseWaitBorn = tcpvet.Births{}
	b.Census.Groups = map[tcpvet.Group]*tcpvet.Tally{
		{Netns: 5, Role: tcpvet.Client, Local: tuple.Local, Service: tuple.Remote}: b.Census.Groups[tcpvet.Group{
			Netns: 5, Holder: tcpvet.Process{PID: 7}, Role: tcpvet.Client, Local: tuple.Local, Service: tuple.Remote,
		}],
	}
	b.Uses = vet.TupleUses(b.Census, tuple)
	var out bytes.Buffer
	if err := b.CSV(&out); err != nil {
		t.Fatal(err)
	}
	if want := "192.168.100.100,192.168.200.200:65535,45000,19512,30.2,FIN-WAIT-1,-,-,5,1024-65535,0,0,0,22000,-,23000,-,-,-,1075.2,-\n"; !strings.HasSuffix(out.String(), "\n"+want) {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
	text, err := json.Marshal(jsonv1.BudgetOf(b.Census, b.Uses, 0, nil))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"TIME-WAIT":null`, `"CLOSE-WAIT":22000`, `"reusable_time_wait":null`, `"rate_per_s":null`, `"exhausted_in_s":null`, `"held":"unknown"`} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("lacks %s:\n%s", want, text)
		}
	}
}

// Who closed what takes the ports is named as such, and fits.
func TestBudgetFormer(t *testing.T) {
	b := widest()
	tuple := b.Uses[0].Tuple
	groups := make(map[tcpvet.Group]*tcpvet.Tally)
	for g, tally := range b.Census.Groups {
		g.Holder, g.Former = tcpvet.Nobody, g.Holder
		groups[g] = tally
	}
	b.Census.Groups = groups
	info := b.Census.Processes[tcpvet.Process{PID: 4194304}]
	info.Ended = true
	b.Census.Processes[tcpvet.Process{PID: 4194304}] = info
	b.Census.Processes[tcpvet.Process{PID: 8}] = info
	b.Census.Groups[tcpvet.Group{Netns: 5, Former: tcpvet.Process{PID: 8}, Role: tcpvet.Client, Local: tuple.Local, Service: tuple.Remote}] = &tcpvet.Tally{States: [tcpvet.NumStates]uint32{tcpvet.TimeWait: 5}}
	b.Uses = vet.TupleUses(b.Census, tuple)
	var table, wide bytes.Buffer
	if err := b.Table(&table, false, 100); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(table.String()) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 100 {
			t.Errorf("%d characters: %s", n, line)
		}
	}
	if want := "[4194304])+2"; !strings.Contains(table.String(), want) {
		t.Errorf("lacks %q:\n%s", want, table.String())
	}
	if err := b.Table(&wide, true, 0); err != nil {
		t.Fatal(err)
	}
	if want := "(fifteen-letters[4194304] ended)+1 22005, (short[7]) 1"; !strings.Contains(wide.String(), want) {
		t.Errorf("lacks %q:\n%s", want, wide.String())
	}
	text, err := json.Marshal(jsonv1.BudgetOf(b.Census, b.Uses, 0, nil))
	if err != nil {
		t.Fatal(err)
	}
	want := `"holders":[{"process":{"pid":4194304,"comm":"fifteen-letters","start":0,"ended":true},"held":"remembered","alike":1,"count":22005},` +
		`{"process":{"pid":7,"comm":"short","start":0},"held":"remembered","count":1}]`
	if !bytes.Contains(text, []byte(want)) {
		t.Errorf("lacks %s:\n%s", want, text)
	}
}
