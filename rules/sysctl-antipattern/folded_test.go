package sysctlantipattern_test

import (
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/rules/ruletest"
	sysctlantipattern "github.com/tcpvet/tcpvet/rules/sysctl-antipattern"
)

// TestManyNamespaces gives ten namespaces one fault, and one of them another:
// three of the first are named, and the rest is one finding behind them.
func TestManyNamespaces(t *testing.T) {
	c := tcpvet.Census{Facts: tcpvet.FactSysctls, Self: 1, Whole: true, Netns: map[tcpvet.NetnsID]tcpvet.Netns{}}
	for id := tcpvet.NetnsID(10); id < 20; id++ {
		c.Netns[id] = tcpvet.Netns{ID: id, Sysctls: map[string]string{"net.ipv4.tcp_retries2": "3"}}
	}
	c.Netns[15].Sysctls["net.ipv4.tcp_abort_on_overflow"] = "1"
	var titles []string
	for _, f := range ruletest.Judge(t, sysctlantipattern.Rule, tcpvet.Case{Now: c}) {
		titles = append(titles, f.Kind+": "+f.Title)
	}
	const outage = "an outage of seconds ends connections with data on the way"
	want := []string{
		"retries-brief: netns 10   " + outage, "retries-brief: netns 11   " + outage, "retries-brief: netns 12   " + outage,
		"retries-brief: 7 more namespaces with retries-brief",
		"abort-on-overflow: netns 15   a full accept queue resets clients",
	}
	if len(titles) != len(want) {
		t.Fatalf("%q", titles)
	}
	for i := range want {
		if titles[i] != want[i] {
			t.Errorf("finding %d: %q, want %q", i+1, titles[i], want[i])
		}
	}
}
