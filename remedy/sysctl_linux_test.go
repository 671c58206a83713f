package remedy

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/netns"
)

// spaceOfTest gives a namespace of the test's own, which a process keeps where it is
// found, and whose settings sysctl(8) reads.
func spaceOfTest(t *testing.T) tcpvet.NetnsID {
	t.Helper()
	kerneltest.Netns(t)
	keep(t, "cat")
	id, err := netns.Self()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// keep starts a program that waits for the end of its input, and gives what ends it.
func keep(t *testing.T, name string, args ...string) (pid int, end func()) {
	t.Helper()
	c := exec.Command(kerneltest.Tool(t, name), args...)
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	end = func() {
		in.Close()
		c.Wait()
	}
	t.Cleanup(end)
	// It has become the program once it answers.
	if _, err := in.Write([]byte("x\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 2)); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	return c.Process.Pid, end
}

// asTold reads a setting by sysctl(8), in the namespace of the test.
func asTold(t *testing.T, name string) string {
	t.Helper()
	b, err := exec.Command(kerneltest.Tool(t, "sysctl"), "-n", name).Output()
	if err != nil {
		t.Fatalf("sysctl -n %s: %v", name, err)
	}
	return oneBlank(string(b))
}

// planned plans settings that are written as users write them.
func planned(t *testing.T, id tcpvet.NetnsID, settings ...string) *Plan {
	t.Helper()
	var opt SysctlOptions
	for _, text := range settings {
		s, err := ParseSetting(text)
		if err != nil {
			t.Fatal(err)
		}
		s.Netns = id
		opt.Settings = append(opt.Settings, s)
	}
	p, err := PlanSysctl(context.Background(), opt)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Settings are planned, set, and put back, and another namespace keeps its own.
func TestRootSysctl(t *testing.T) {
	ctx := context.Background()
	kerneltest.Root(t)
	names := []string{reuseSetting, rangeSetting, reservedSetting}
	outside := func() (all string) {
		for _, name := range names {
			v, err := readSetting(name)
			if err != nil {
				t.Error(err)
			}
			all += v + ";"
		}
		return all
	}
	before := outside()
	id := spaceOfTest(t)
	var old []string
	for _, name := range names {
		old = append(old, asTold(t, name))
	}
	p := planned(t, id, "net.ipv4.tcp_tw_reuse=1", "net.ipv4.ip_local_port_range=20000  40001", "net.ipv4.ip_local_reserved_ports=21000,20998-20999")
	if !p.Pending() || p.Risk != tcpvet.ChangesKernel || asTold(t, reuseSetting) != old[0] {
		t.Fatalf("%+v", p.Plan)
	}
	for i, c := range p.Changes {
		if c.Target.Netns != id || c.Before.Text != old[i] || c.Outcome != tcpvet.OutcomePlanned || c.Reason == "" {
			t.Errorf("planned %+v, it was %q", c, old[i])
		}
	}
	if len(p.Notes) < 3 {
		t.Errorf("notes %q", p.Notes)
	}
	j := journalIn(t)
	if err := p.Apply(ctx, j); err != nil || p.Tally()[tcpvet.OutcomeApplied] != 3 {
		t.Fatalf("%+v, %v", p.Changes, err)
	}
	// The kernel joins runs of reserved ports, and the plan knew.
	for i, want := range []string{"1", "20000 40001", "20998-21000"} {
		if got := asTold(t, names[i]); got != want || p.Changes[i].After.Text != want || p.Changes[i].Reason != "" {
			t.Errorf("%s is %q, planned %+v; want %q", names[i], got, p.Changes[i], want)
		}
	}
	if again := planned(t, id, "net.ipv4.ip_local_reserved_ports=20999,20998,21000"); again.Pending() {
		t.Errorf("what is so already is planned: %+v", again.Changes)
	}

	// Somebody sets one of them since: that one is left.
	if err := writeSetting(reuseSetting, "0"); err != nil {
		t.Fatal(err)
	}
	u, err := PlanUndo(ctx, j, p.ID, UndoOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Apply(ctx, j); err != nil || outcomesOf(u) != reservedSetting+" undone, "+rangeSetting+" undone, "+reuseSetting+" refused" {
		t.Errorf("%s, %v", outcomesOf(u), err)
	}
	if got := []string{asTold(t, reuseSetting), asTold(t, rangeSetting), asTold(t, reservedSetting)}; got[0] != "0" || got[1] != old[1] || got[2] != old[2] {
		t.Errorf("left %q, it was %q", got, old)
	}
	told := make(chan string)
	go func() { told <- outside() }()
	if got := <-told; got != before {
		t.Errorf("another namespace was changed: %s, was %s", got, before)
	}
}

// What changes between the plan and its being applied is not touched.
func TestRootSysctlStrict(t *testing.T) {
	id := spaceOfTest(t)
	p := planned(t, id, "net.ipv4.tcp_tw_reuse=1")
	if err := writeSetting(reuseSetting, "0"); err != nil {
		t.Fatal(err)
	}
	if err := p.Apply(context.Background(), journalIn(t)); err != nil || p.Changes[0].Outcome != tcpvet.OutcomeRefused || asTold(t, reuseSetting) != "0" {
		t.Errorf("%+v, %v", p.Changes[0], err)
	}
}

// What this kernel does not have, and what may not be set here, is refused beforehand.
func TestRootSysctlRefuses(t *testing.T) {
	id := spaceOfTest(t)
	for setting, want := range map[string]string{
		"net.ipv4.tcp_tw_recycle=1":                "gone since Linux 4.12",
		"net.ipv4.no_such_setting=1":               "no such setting",
		"net.ipv4.tcp_fin_timeout=10":              "compiled in",
		"net.ipv4.ip_local_reserved_ports=1-65535": "no port is left",
	} {
		p := planned(t, id, setting)
		if c := p.Changes[0]; c.Outcome != tcpvet.OutcomeRefused || !strings.Contains(c.Reason, want) {
			t.Errorf("%s: %+v", setting, c)
		}
		if err := p.Apply(context.Background(), journalIn(t)); err != nil || p.ID != "" {
			t.Errorf("%s: %v", setting, err)
		}
	}
	if p := planned(t, id, "net.ipv4.tcp_available_congestion_control=reno"); p.Changes[0].Outcome != tcpvet.OutcomeRefused {
		t.Errorf("a setting that can only be read: %+v", p.Changes[0])
	}
	// What is so already is refused by nothing.
	if p := planned(t, id, "net.ipv4.tcp_fin_timeout=60"); p.Changes[0].Outcome != tcpvet.OutcomeUnchanged {
		t.Errorf("as it is: %+v", p.Changes[0])
	}
	// A leak speaks against a wider range in its own namespace.
	for of, want := range map[tcpvet.NetnsID]tcpvet.Outcome{id: tcpvet.OutcomeRefused, id + 1: tcpvet.OutcomePlanned} {
		p, err := PlanSysctl(context.Background(), SysctlOptions{
			Settings: []tcpvet.SetSysctl{{Netns: id, Name: rangeSetting, Value: "10240 60999"}},
			Findings: []tcpvet.Finding{{
				Rule: "close-wait-leak", Severity: tcpvet.Critical, Subject: tcpvet.Subject{Netns: of},
				Numbers: []tcpvet.Number{{Name: leakTakes, Value: 20000}, {Name: leakOf, Value: 28232}},
			}},
		})
		if err != nil || p.Changes[0].Outcome != want {
			t.Errorf("a leak in %d: %+v, %v", of, p.Changes, err)
		}
	}
	if _, err := PlanSysctl(context.Background(), SysctlOptions{}); err == nil {
		t.Error("a plan of nothing")
	}
}

// A namespace that has vanished since is told, and the rest of the plan is applied.
func TestRootSysctlVanished(t *testing.T) {
	ctx := context.Background()
	id := spaceOfTest(t)
	pid, end := keep(t, "unshare", "-n", "cat")
	found, _, err := netns.Find(netns.Options{})
	if err != nil {
		t.Fatal(err)
	}
	other, err := netns.Select(found, []string{fmt.Sprint("pid:", pid)})
	if err != nil || other[0].ID == id {
		t.Fatal(other, err)
	}
	opt := SysctlOptions{Settings: []tcpvet.SetSysctl{{Netns: other[0].ID, Name: reuseSetting, Value: "1"}, {Netns: id, Name: reuseSetting, Value: "1"}}}
	p, err := PlanSysctl(ctx, opt)
	if err != nil || len(p.Changes) != 2 || p.Changes[0].Outcome != tcpvet.OutcomePlanned {
		t.Fatalf("%+v, %v", p, err)
	}
	end()
	if err := p.Apply(ctx, journalIn(t)); err != nil || outcomesOf(p) != reuseSetting+" gone, "+reuseSetting+" applied" || !strings.Contains(p.Changes[0].Reason, "vanished") {
		t.Errorf("%+v, %v", p.Changes, err)
	}
	if asTold(t, reuseSetting) != "1" {
		t.Error("the other one was not set")
	}
}

// What is kept for the next boot is what sysctl(8) sets then.
func TestRootPersistAsSysctl(t *testing.T) {
	spaceOfTest(t)
	file := filepath.Join(t.TempDir(), "90-test.conf")
	want := map[string]string{reuseSetting: "0", rangeSetting: "20000 40001", reservedSetting: "20998-21000"}
	for name, value := range want {
		c, err := readConf(file)
		if err != nil {
			t.Fatal(err)
		}
		c.set(name, tcpvet.Value{Text: value})
		if err := c.write(); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command(kerneltest.Tool(t, "sysctl"), "-p", file).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for name, value := range want {
		if got := asTold(t, name); got != value {
			t.Errorf("%s is %q, want %q", name, got, value)
		}
	}
}
