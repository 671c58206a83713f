package jsonv1

import (
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tcpvet/tcpvet"
)

// The shape is that of docs/json.md, written here by hand.
func TestPlanShape(t *testing.T) {
	p := tcpvet.Process{PID: 4121, Start: 77}
	l := InCensus(&tcpvet.Census{
		Processes: map[tcpvet.Process]tcpvet.ProcessInfo{p: {Comm: "shop"}},
		Netns:     map[tcpvet.NetnsID]tcpvet.Netns{7: {ID: 7, Names: []string{"blue"}}},
	})
	socket := tcpvet.Target{
		Netns: 7, Cookie: 18446744073709551615, State: tcpvet.CloseWait, Role: tcpvet.Client, Holder: p, Comm: "shop",
		Local: netip.MustParseAddrPort("10.0.0.5:40000"), Remote: netip.MustParseAddrPort("[::1]:80"),
	}
	const subject = `{"kind":"socket","netns":{"inode":7,"names":["blue"]},"cookie":18446744073709551615,"state":"CLOSE-WAIT","role":"client","local":"10.0.0.5:40000","remote":"[::1]:80","process":{"pid":4121,"comm":"shop","start":77}}`
	setting := tcpvet.Target{Netns: 7, Setting: "net.ipv4.tcp_tw_reuse"}
	for _, tt := range []struct {
		name   string
		plan   tcpvet.Plan
		change tcpvet.Change
		want   string // of changes
		rest   string // id to risk
	}{
		{
			"planned keepalive", tcpvet.Plan{Kind: tcpvet.KeepalivePlan, Risk: tcpvet.ChangesProcess},
			tcpvet.Change{
				Target: socket,
				Before: tcpvet.Value{Timers: tcpvet.Timers{Idle: 2 * time.Hour, Interval: 75 * time.Second, Count: 9}},
				After:  tcpvet.Value{Timers: tcpvet.Timers{Keepalive: true, Idle: 30 * time.Second, Interval: 3 * time.Second, Count: 5, UserTimeout: 1500 * time.Millisecond}},
			},
			`{"subject":` + subject + `,"before":{"keepalive":false,"idle_s":7200,"interval_s":75,"count":9,"user_timeout_ms":null},"after":{"keepalive":true,"idle_s":30,"interval_s":3,"count":5,"user_timeout_ms":1500},"outcome":null,"reason":null}`,
			`"id":null,"kind":"keepalive","undoes":null,"applied":false,"risk":"changes-process"`,
		},
		{
			"keepalive of what is gone", tcpvet.Plan{Kind: tcpvet.KeepalivePlan, Risk: tcpvet.ChangesProcess},
			tcpvet.Change{Target: socket, After: tcpvet.Value{Timers: tcpvet.Timers{Keepalive: true, Idle: time.Second, Interval: time.Second, Count: 1}}, Outcome: tcpvet.OutcomeGone, Reason: "it was closed since"},
			`{"subject":` + subject + `,"before":null,"after":{"keepalive":true,"idle_s":1,"interval_s":1,"count":1,"user_timeout_ms":null},"outcome":"gone","reason":"it was closed since"}`,
			`"id":null,"kind":"keepalive","undoes":null,"applied":false,"risk":"changes-process"`,
		},
		{
			"closed", tcpvet.Plan{ID: "a", Kind: tcpvet.ClosePlan, Risk: tcpvet.DropsConnections},
			tcpvet.Change{Target: socket, Before: tcpvet.Value{State: tcpvet.CloseWait}, After: tcpvet.Value{State: tcpvet.Unconn}, Outcome: tcpvet.OutcomeApplied},
			`{"subject":` + subject + `,"before":"CLOSE-WAIT","after":"UNCONN","outcome":"applied","reason":null}`,
			`"id":"a","kind":"close","undoes":null,"applied":true,"risk":"drops-connections"`,
		},
		{
			"undone setting", tcpvet.Plan{ID: "b", Undoes: "a", Kind: tcpvet.SysctlPlan, Risk: tcpvet.ChangesKernel},
			tcpvet.Change{Target: setting, Before: tcpvet.Value{Text: "1"}, After: tcpvet.Value{Text: "2"}, Outcome: tcpvet.OutcomeUndone},
			`{"subject":{"kind":"setting","netns":{"inode":7,"names":["blue"]},"name":"net.ipv4.tcp_tw_reuse","file":null},"before":"1","after":"2","outcome":"undone","reason":null}`,
			`"id":"b","kind":"sysctl","undoes":"a","applied":true,"risk":"changes-kernel"`,
		},
		{
			"an empty setting is a value", tcpvet.Plan{Kind: tcpvet.SysctlPlan, Risk: tcpvet.ChangesKernel},
			tcpvet.Change{Target: tcpvet.Target{Netns: 7, Setting: "net.ipv4.ip_local_reserved_ports"}, After: tcpvet.Value{Text: "80"}},
			`{"subject":{"kind":"setting","netns":{"inode":7,"names":["blue"]},"name":"net.ipv4.ip_local_reserved_ports","file":null},"before":"","after":"80","outcome":null,"reason":null}`,
			`"id":null,"kind":"sysctl","undoes":null,"applied":false,"risk":"changes-kernel"`,
		},
		{
			"a line of a file", tcpvet.Plan{Kind: tcpvet.SysctlPlan, Risk: tcpvet.ChangesKernel},
			tcpvet.Change{Target: tcpvet.Target{Netns: 7, Setting: "net.ipv4.tcp_tw_reuse", File: "/etc/x.conf"}, Before: tcpvet.Value{Absent: true}, After: tcpvet.Value{Text: "1"}},
			`{"subject":{"kind":"setting","netns":{"inode":7,"names":["blue"]},"name":"net.ipv4.tcp_tw_reuse","file":"/etc/x.conf"},"before":null,"after":"1","outcome":null,"reason":null}`,
			`"id":null,"kind":"sysctl","undoes":null,"applied":false,"risk":"changes-kernel"`,
		},
		{
			"a run", tcpvet.Plan{Kind: tcpvet.RunPlan, Risk: tcpvet.ChangesProcess},
			tcpvet.Change{Target: tcpvet.Target{Run: "r1"}, Before: tcpvet.Value{Absent: true}, After: tcpvet.Value{Timers: tcpvet.Timers{UserTimeout: time.Second}, Text: "cgroup /a"}},
			`{"subject":{"kind":"run","id":"r1"},"before":null,"after":{"keepalive":false,"idle_s":null,"interval_s":null,"count":null,"user_timeout_ms":1000,"about":"cgroup /a"},"outcome":null,"reason":null}`,
			`"id":null,"kind":"run","undoes":null,"applied":false,"risk":"changes-process"`,
		},
	} {
		tt.plan.Changes, tt.plan.Notes = []tcpvet.Change{tt.change}, []string{"It closes no descriptor."}
		got, err := json.Marshal(l.PlanOf(&tt.plan))
		if err != nil {
			t.Fatal(err)
		}
		want := `{"schema":"tcpvet/plan/v1",` + tt.rest + `,"changes":[` + tt.want + `],"notes":["It closes no descriptor."],"gaps":[]}`
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
	empty, err := json.Marshal(l.PlanOf(&tcpvet.Plan{Kind: tcpvet.ClosePlan}))
	if want := `{"schema":"tcpvet/plan/v1","id":null,"kind":"close","undoes":null,"applied":false,"risk":"none","changes":[],"notes":[],"gaps":[]}`; err != nil || string(empty) != want {
		t.Errorf("empty: %s, %v", empty, err)
	}
}
