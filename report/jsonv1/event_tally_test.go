package jsonv1_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/report/jsonv1"
)

func TestEventTally(t *testing.T) {
	var c tcpvet.EventCounts
	c.Changes[tcpvet.SynSent][tcpvet.Established] = 12
	c.Changes[tcpvet.LastAck][tcpvet.Unconn] = 3
	c.Closed[tcpvet.HowFIN][tcpvet.CloserLocal] = 4
	c.Closed[tcpvet.HowRST][tcpvet.CloserUnknown] = 5
	c.Failed[tcpvet.FailedTimedOut] = 7
	c.Missed = 2
	text, err := json.Marshal(jsonv1.EventTallyOf(time.Date(2026, 11, 29, 13, 42, 37, 0, time.UTC), 1500*time.Millisecond, true, &c))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"schema": "tcpvet/tally/v1", "at": "2026-11-29T13:42:37Z", "seconds": 1.5, "total": true, "missed": 2.0,
		"opened": map[string]any{"connected": 12.0, "accepted": 0.0},
		"failed": map[string]any{
			"no-address": 0.0, "refused": 0.0, "timed-out": 7.0, "reset": 0.0, "unreachable": 0.0, "aborted": 0.0, "given-up": 0.0, "other": 0.0,
		},
		"closed": map[string]any{
			"how":   map[string]any{"fin": 4.0, "rst": 5.0, "timeout": 0.0, "unknown": 0.0},
			"first": map[string]any{"local": 4.0, "remote": 0.0, "both": 0.0, "unknown": 5.0},
		},
		"changes": []any{
			map[string]any{"from": "SYN-SENT", "to": "ESTAB", "count": 12.0}, map[string]any{"from": "LAST-ACK", "to": "UNCONN", "count": 3.0},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want (-), got (+):\n%s", diff)
	}
}
