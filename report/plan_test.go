package report

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
)

// planOf makes a plan about sockets of processes in namespace 7, which is one's own.
func planOf(kind tcpvet.PlanKind, changes ...tcpvet.Change) (*tcpvet.Plan, *tcpvet.Census) {
	c := &tcpvet.Census{
		Self: 7, Facts: tcpvet.FactHolders | tcpvet.FactInode, Processes: make(map[tcpvet.Process]tcpvet.ProcessInfo),
		Netns: map[tcpvet.NetnsID]tcpvet.Netns{8: {ID: 8, Names: []string{"blue"}}},
	}
	for _, ch := range changes {
		if h := ch.Target.Holder; h.Known() {
			c.Processes[h] = tcpvet.ProcessInfo{Comm: ch.Target.Comm}
		}
	}
	return &tcpvet.Plan{Kind: kind, Risk: tcpvet.ChangesProcess, Changes: changes}, c
}

func socketChange(n int, state tcpvet.State, pid int32) tcpvet.Change {
	return tcpvet.Change{
		Target: tcpvet.Target{
			Netns: 7, Cookie: uint64(n + 1), Inode: uint64(n + 100), State: state, Role: tcpvet.Client,
			Local:  netip.AddrPortFrom(netip.MustParseAddr("10.0.0.5"), uint16(40000+n)),
			Remote: netip.MustParseAddrPort("[::ffff:10.0.3.7]:8080"), Holder: tcpvet.Process{PID: pid, Start: 1}, Comm: "shop",
		},
		Before: tcpvet.Value{Timers: tcpvet.Timers{Idle: 2 * time.Hour, Interval: 75 * time.Second, Count: 9}},
		After:  tcpvet.Value{Timers: tcpvet.DefaultTimers()},
	}
}

func planText(t *testing.T, p *tcpvet.Plan, c *tcpvet.Census, o PlanOptions) string {
	t.Helper()
	var b bytes.Buffer
	if err := Plan(&b, p, c, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestPlanPutsTogetherWhatIsAlike(t *testing.T) {
	var changes []tcpvet.Change
	for i := range 12_000 {
		c := socketChange(i, tcpvet.CloseWait, 4121)
		if i%3 == 0 {
			c.Target.Remote = netip.MustParseAddrPort("10.0.3.7:8080") // the same service
		}
		changes = append(changes, c)
	}
	server := socketChange(13_000, tcpvet.Established, 50)
	server.Target.Role, server.Target.Local, server.Target.Netns = tcpvet.Server, netip.MustParseAddrPort("10.0.0.5:443"), 8
	p, c := planOf(tcpvet.KeepalivePlan, append(changes, server)...)
	p.Notes = []string{"It closes no descriptor."}
	p.Gaps = []tcpvet.Gap{{What: "holders", Err: "denied", Needs: "root"}}
	got := planText(t, p, c, PlanOptions{Next: []PlanNext{{Label: "apply it", Command: "tcpvet fix keepalive --pid 4121 --apply", Text: "(risk: changes-process)"}}})
	want := `keepalive, planned: 12,001 sockets of 2 processes; nothing is changed yet

Process     Service           Sockets  Netns  State       Before  After
shop[4121]  to 10.0.3.7:8080   12,000  7      CLOSE-WAIT  off     30s + 5 x 3s
shop[50]    on 10.0.0.5:443         1  blue   ESTAB       off     30s + 5 x 3s

  - It closes no descriptor.
not seen: holders: denied; needs root

    apply it    tcpvet fix keepalive --pid 4121 --apply
                (risk: changes-process)
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if lines := strings.Count(planText(t, p, c, PlanOptions{Wide: true}), "shop["); lines != 12_001 {
		t.Errorf("wide lists %d of 12,001 sockets", lines)
	}
}

func TestPlanCutsManyGroups(t *testing.T) {
	var changes []tcpvet.Change
	for i := range 100 {
		for range i + 1 {
			changes = append(changes, socketChange(len(changes), tcpvet.CloseWait, int32(1000+i)))
		}
	}
	p, c := planOf(tcpvet.KeepalivePlan, changes...)
	got := planText(t, p, c, PlanOptions{})
	// The 40 largest have 61 to 100 sockets each, the other 60 have 1 to 60.
	if !strings.Contains(got, "and 1,830 more in 60 groups: -o wide lists each") || strings.Contains(got, "shop[1059]") || !strings.Contains(got, "shop[1060]") {
		t.Errorf("got\n%s", got)
	}
}

func TestPlanTellsOutcomes(t *testing.T) {
	done, refused := socketChange(0, tcpvet.CloseWait, 4121), socketChange(1, tcpvet.CloseWait, 4121)
	for _, c := range []*tcpvet.Change{&done, &refused} {
		c.Before, c.After = tcpvet.Value{State: tcpvet.CloseWait}, tcpvet.Value{State: tcpvet.Unconn}
	}
	done.Outcome, done.Reason = tcpvet.OutcomeApplied, "shut down in order"
	refused.Outcome, refused.Reason = tcpvet.OutcomeRefused, "needs \x1b[31mCAP_NET_ADMIN"
	p, c := planOf(tcpvet.ClosePlan, done, refused)
	p.ID = "20261129-1"
	want := `close, applied as 20261129-1: 1 applied, 1 refused

Process     Service           Sockets  Before      After   Outcome
shop[4121]  to 10.0.3.7:8080        1  CLOSE-WAIT  closed  applied
    shut down in order
shop[4121]  to 10.0.3.7:8080        1  CLOSE-WAIT  closed  refused
    needs ?[31mCAP_NET_ADMIN
`
	if got := planText(t, p, c, PlanOptions{Applied: true}); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestPlanHeads(t *testing.T) {
	setting := tcpvet.Change{
		Target: tcpvet.Target{Netns: 7, Setting: "net.ipv4.ip_local_reserved_ports"},
		Before: tcpvet.Value{}, After: tcpvet.Value{Text: strings.Repeat("8080,", 40) + "9090"},
	}
	with := func(o tcpvet.Outcome) tcpvet.Change { c := setting; c.Outcome = o; return c }
	for _, tt := range []struct {
		kind    tcpvet.PlanKind
		id      string
		undoes  string
		applied bool
		changes []tcpvet.Change
		want    string
	}{
		{tcpvet.ClosePlan, "", "", false, nil, "close: no socket is selected that could be changed\n"},
		{tcpvet.SysctlPlan, "", "", true, nil, "sysctl: there is nothing to change\n"},
		{tcpvet.SysctlPlan, "", "", false, []tcpvet.Change{with("unchanged")}, "sysctl, nothing is to be changed: 1 so already\n"},
		{tcpvet.SysctlPlan, "", "", true, []tcpvet.Change{setting}, "sysctl, not applied: net.ipv4"},
		{tcpvet.SysctlPlan, "", "a", true, []tcpvet.Change{with("refused")}, "undo a, nothing was changed: 1 refused\n"},
		{tcpvet.SysctlPlan, "b", "a", true, []tcpvet.Change{with("undone")}, "undo a, applied as b: 1 undone\n"},
		{tcpvet.SysctlPlan, "b", "", true, []tcpvet.Change{with("applied"), setting}, "sysctl, applied as b: 1 applied, 1 not tried\n"},
		{tcpvet.SysctlPlan, "b", "", true, []tcpvet.Change{setting}, "sysctl, nothing was changed: 1 not tried\n"},
	} {
		p, c := planOf(tt.kind, tt.changes...)
		p.ID, p.Undoes = tt.id, tt.undoes
		got := planText(t, p, c, PlanOptions{Applied: tt.applied})
		if !strings.HasPrefix(got, tt.want) {
			t.Errorf("%+v: got %q, want %q", tt, got, tt.want)
		}
		for line := range strings.Lines(got) {
			if strings.HasPrefix(line, "net.ipv4") && len(line) > 160 {
				t.Errorf("a long value is not cut: %q", line)
			}
		}
	}
}

// What a run is, is told in full.
func TestPlanRunIsWhole(t *testing.T) {
	about := "cgroup /sys/fs/cgroup/system.slice/crawler.service, source pool 10.0.0.5,10.0.0.6"
	p, c := planOf(tcpvet.RunPlan, tcpvet.Change{Target: tcpvet.Target{Run: "x"}, Before: tcpvet.Value{Absent: true}, After: tcpvet.Value{Timers: tcpvet.DefaultTimers(), Text: about}})
	if got := planText(t, p, c, PlanOptions{Applied: true}); !strings.Contains(got, "\n    "+about+"\n") {
		t.Errorf("got %q", got)
	}
}

func TestPlanValues(t *testing.T) {
	socket, setting := tcpvet.Target{Cookie: 1}, tcpvet.Target{Setting: "net.ipv4.ip_local_reserved_ports"}
	for _, tt := range []struct {
		c             tcpvet.Change
		before, after string
	}{
		{tcpvet.Change{Target: socket, After: tcpvet.Value{Timers: tcpvet.DefaultTimers()}}, "off", "30s + 5 x 3s"},
		{tcpvet.Change{Target: socket, Outcome: tcpvet.OutcomeGone, After: tcpvet.Value{Timers: tcpvet.DefaultTimers()}}, "-", "30s + 5 x 3s"},
		{tcpvet.Change{Target: setting, After: tcpvet.Value{Text: "80"}}, "empty", "80"},
		{tcpvet.Change{Target: setting, Outcome: tcpvet.OutcomeRefused, After: tcpvet.Value{Text: "80"}}, "-", "80"},
		{tcpvet.Change{Target: tcpvet.Target{Run: "x"}, Before: tcpvet.Value{Absent: true}, After: tcpvet.Value{Text: "cgroup /a"}}, "none", "cgroup /a"},
	} {
		r := planRow{change: tt.c}
		if b, a := planBefore.cell(nil, &r), planAfter.cell(nil, &r); b != tt.before || a != tt.after {
			t.Errorf("%+v: %q -> %q, want %q -> %q", tt.c, b, a, tt.before, tt.after)
		}
	}
}
