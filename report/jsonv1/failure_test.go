package jsonv1_test

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/probe"
	"github.com/tcpvet/tcpvet/report/jsonv1"
	"github.com/tcpvet/tcpvet/vet"
)

// The line of an explained failure is that of the event, and one member more.
func TestFailureLine(t *testing.T) {
	l := jsonv1.Lookup{Netns: func(tcpvet.NetnsID) (tcpvet.Netns, bool) { return tcpvet.Netns{}, false }}
	e := &tcpvet.Event{Kind: tcpvet.EventFail, Errno: 99, Cause: tcpvet.CausePortsExhausted, Netns: 7, Took: -1}
	tuple := tcpvet.Tuple{Netns: 7, Local: netip.MustParseAddr("10.0.0.1"), Remote: netip.MustParseAddrPort("10.0.3.7:8080")}
	census := &tcpvet.Census{
		Facts:  tcpvet.FactTimeWait,
		Netns:  map[tcpvet.NetnsID]tcpvet.Netns{7: {ID: 7, Ports: &tcpvet.Ports{Low: 40000, High: 40009}}},
		Tuples: map[tcpvet.Tuple]*tcpvet.Budget{tuple: {Taken: [tcpvet.NumStates]uint32{tcpvet.CloseWait: 10}}},
	}
	use := vet.TupleUses(census, tuple)[0]
	x := &probe.Explanation{
		Verdict: probe.Verdict{
			Text: []string{"a <b> & c"}, Certainty: tcpvet.Likely, Evidence: []tcpvet.Evidence{{What: "w", Got: "g", Check: "c"}},
			Remedies: []tcpvet.Remedy{tcpvet.Advise{Text: "do", Code: true}},
		},
		Use: &use, Census: census, Looked: true, Gaps: []tcpvet.Gap{{What: "x", Err: "y"}},
	}
	line, err := l.AppendFailure(nil, e, x)
	if err != nil {
		t.Fatal(err)
	}
	event := l.AppendEvent(nil, e)
	if !strings.HasPrefix(string(line), strings.TrimSuffix(string(event), "}")+`,"explanation":{`) {
		t.Errorf("%s\nis not\n%s and more", line, event)
	}
	var got struct{ Explanation map[string]any }
	if err := json.Unmarshal(line, &got); err != nil {
		t.Fatal(err)
	}
	headroom, _ := got.Explanation["headroom"].(map[string]any)
	if taken, _ := headroom["taken"].(map[string]any); taken["CLOSE-WAIT"] != 10.0 || headroom["left"] != 0.0 {
		t.Errorf("headroom %v", headroom)
	}
	delete(got.Explanation, "headroom")
	want := map[string]any{
		"by": "look", "certainty": "likely", "text": []any{"a <b> & c"}, "evidence": []any{map[string]any{"what": "w", "got": "g", "check": "c"}},
		"remedies": []any{map[string]any{"kind": "code", "command": nil, "text": "do", "risk": "none"}},
		"gaps":     []any{map[string]any{"what": "x", "where": "", "error": "y", "needs": nil, "count": 1.0}},
	}
	if diff := cmp.Diff(want, got.Explanation); diff != "" {
		t.Errorf("want (-), got (+):\n%s", diff)
	}
	for by, x := range map[string]*probe.Explanation{"event": {}, "repeated": {Repeated: true}} {
		if line, err = l.AppendFailure(nil, e, x); err != nil || !strings.Contains(string(line), `"explanation":{"by":"`+by+`"`) || !strings.Contains(string(line), `"text":[],"headroom":null,"evidence":[]`) {
			t.Errorf("%s: %s, %v", by, line, err)
		}
	}
}
