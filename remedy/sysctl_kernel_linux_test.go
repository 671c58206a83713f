package remedy

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/tcpvet/tcpvet"
)

// The kernel may write a value otherwise than it was given. That is what counts.
func TestRootSysctlReadBack(t *testing.T) {
	id := spaceOfTest(t)
	c := tcpvet.Change{Target: tcpvet.Target{Netns: id, Setting: reservedSetting}, After: tcpvet.Value{Text: "21000,20998-20999"}}
	if o, why := setSetting(&c); o != tcpvet.OutcomeApplied || c.After.Text != asTold(t, reservedSetting) || c.After.Text != "20998-21000" || why == "" {
		t.Errorf("%q %q %+v", o, why, c)
	}
	// A line is not kept for the next boot where the kernel did not take the value.
	file := filepath.Join(t.TempDir(), "90-test.conf")
	p := &Plan{Plan: tcpvet.Plan{Kind: tcpvet.SysctlPlan, Changes: []tcpvet.Change{
		{Target: tcpvet.Target{Netns: id, Setting: reuseSetting}, Before: tcpvet.Value{Text: asTold(t, reuseSetting)}, After: tcpvet.Value{Text: "77"}},
		{Target: tcpvet.Target{Netns: id, Setting: reuseSetting, File: file}, Before: tcpvet.Value{Absent: true}, After: tcpvet.Value{Text: "77"}},
	}}, By: sysctl{}}
	if err := p.Apply(context.Background(), journalIn(t)); err != nil || outcomesOf(p) != reuseSetting+" failed, "+reuseSetting+" refused" {
		t.Errorf("%s, %v", outcomesOf(p), err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("it is kept all the same")
	}
}

// Settings of another namespace than the host's are not kept.
func TestRootPersistElsewhere(t *testing.T) {
	id := spaceOfTest(t)
	opt := SysctlOptions{Settings: []tcpvet.SetSysctl{{Netns: id, Name: reuseSetting, Value: "1"}}, Persist: true, File: filepath.Join(t.TempDir(), "90-test.conf")}
	p, err := PlanSysctl(context.Background(), opt)
	if err != nil || outcomesOf(p) != reuseSetting+", "+reuseSetting+" refused" || p.Changes[1].Reason != errNotHost.Error() {
		t.Errorf("%+v, %v", p.Changes, err)
	}
}

// A plan refuses just what the kernel refuses, and lists it as the kernel writes it.
func TestRootSysctlAsKernel(t *testing.T) {
	id := spaceOfTest(t)
	tried := 0
	for name, values := range map[string][]string{
		reuseSetting:                   {"-1", "0", "1", "2", "3", "x", "1 2"},
		stampsSetting:                  {"0", "1", "2", "3", "256"},
		"net.ipv4.tcp_tw_reuse_delay":  {"0", "1", "1000", "86400000"},
		"net.ipv4.tcp_keepalive_time":  {"-1", "0", "1", "32767", "32768", "abc"},
		"net.ipv4.tcp_fin_timeout":     {"1", "60"},
		"net.core.somaxconn":           {"-1", "0", "4096"},
		"net.ipv4.tcp_retries2":        {"0", "15", "256", "1.5"},
		"net.ipv4.tcp_max_syn_backlog": {"1", "99999999999"},
	} {
		if _, err := readSetting(name); errors.Is(err, os.ErrNotExist) {
			continue
		}
		for _, value := range values {
			before := asTold(t, name)
			c := []tcpvet.Change{{Target: tcpvet.Target{Netns: id, Setting: name}, After: tcpvet.Value{Text: value}}}
			if err := try(c); err != nil {
				t.Fatal(err)
			}
			if asTold(t, name) != before {
				t.Fatalf("%s: trying it has set it", name)
			}
			err := writeSetting(name, value)
			if (c[0].Outcome == tcpvet.OutcomeRefused) != (err != nil) || err == nil && c[0].After.Text != asTold(t, name) {
				t.Errorf("%s=%s: %+v; the kernel says %v and has %s", name, value, c[0], err, asTold(t, name))
			}
			if err := writeSetting(name, before); err != nil {
				t.Fatal(err)
			}
			tried++
		}
	}
	if tried < 20 {
		t.Errorf("%d values were tried", tried)
	}
}
