package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/probe"
)

// failuresPrinter prints to b, in that format.
func failuresPrinter(t *testing.T, b *bytes.Buffer, format string) (*eventPrinter, said) {
	t.Helper()
	tr := &tracing{look: look{stdio: IO{Out: b}}, out: output{format: format}}
	show, err := tr.shower(tr.stdio.Out, new(namespaceNames))
	if err != nil {
		t.Fatal(err)
	}
	return &eventPrinter{t: tr, show: show, explainer: &explaining{queue: make(chan tcpvet.Event, 1)}},
		said{advised: make(map[tcpvet.Cause]bool), gaps: make(map[tcpvet.Gap]bool)}
}

// What helps is said once for each cause, a gap once, and a failure that is like an
// earlier one is a line alone.
func TestExplainedOnce(t *testing.T) {
	var b bytes.Buffer
	p, said := failuresPrinter(t, &b, "table")
	e := &tcpvet.Event{Kind: tcpvet.EventFail, Errno: 111}
	why := func(cause tcpvet.Cause, repeated bool) *probe.Explanation {
		return &probe.Explanation{
			Verdict:  probe.Verdict{Cause: cause, Text: []string{"reason"}, Remedies: []tcpvet.Remedy{tcpvet.Advise{Text: "cure"}}},
			Repeated: repeated, Looked: !repeated, Gaps: []tcpvet.Gap{{What: "gap"}},
		}
	}
	for _, x := range []*probe.Explanation{why(tcpvet.CauseRefused, false), why(tcpvet.CauseRefused, true), why(tcpvet.CauseRefused, false), why(tcpvet.CauseNoRoute, false)} {
		if err := p.explained(e, x, new(namespaceNames), said); err != nil {
			t.Fatal(err)
		}
	}
	for word, want := range map[string]int{"ECONNREFUSED": 4, "reason": 3, "cure": 2, "not seen: gap": 1} {
		if got := strings.Count(b.String(), word); got != want {
			t.Errorf("%q is there %d times, want %d:\n%s", word, got, want, b.String())
		}
	}
}

func TestExplainedLine(t *testing.T) {
	var b bytes.Buffer
	p, said := failuresPrinter(t, &b, "jsonl")
	if err := errors.Join(p.explained(&tcpvet.Event{Kind: tcpvet.EventFail}, &probe.Explanation{Repeated: true}, new(namespaceNames), said), p.flush()); err != nil {
		t.Fatal(err)
	}
	var line struct {
		Kind        string
		Explanation struct{ By string }
	}
	if err := json.Unmarshal(b.Bytes(), &line); err != nil || line.Kind != "fail" || line.Explanation.By != "repeated" {
		t.Errorf("%s: %v", b.String(), err)
	}
}

// Where too many wait a failure is printed as it is; none is lost and none waits.
func TestExplainingFull(t *testing.T) {
	var b bytes.Buffer
	p, _ := failuresPrinter(t, &b, "jsonl")
	p.t.choice = choiceOf(t, look{}, false, "")
	for range 3 {
		if err := p.event(&tcpvet.Event{Kind: tcpvet.EventFail, Errno: 99, Took: -1}); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.flush(); err != nil {
		t.Fatal(err)
	}
	if waiting, printed := len(p.explainer.queue), strings.Count(b.String(), `"kind":"fail"`); waiting != 1 || printed != 2 || p.told.failed != 3 {
		t.Errorf("%d wait and %d are printed of %d", waiting, printed, p.told.failed)
	}
}

// gone is a pipe that nobody reads.
type gone struct{}

func (gone) Write([]byte) (int, error) { return 0, syscall.EPIPE }

// A failed write ends the trace; that of a reader who has gone is no failure.
func TestExplainingBroken(t *testing.T) {
	p, said := failuresPrinter(t, new(bytes.Buffer), "jsonl")
	p.t.choice = choiceOf(t, look{}, false, "")
	p.t.stdio.Out = gone{}
	p.show, _ = p.t.shower(p.t.stdio.Out, new(namespaceNames))
	err := errors.Join(p.explained(&tcpvet.Event{Kind: tcpvet.EventFail}, new(probe.Explanation), new(namespaceNames), said), p.flush())
	p.explainer.broken.Store(&err)
	if err := p.event(&tcpvet.Event{Kind: tcpvet.EventFail}); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("a broken pipe gives %v", err)
	}
	if err := quietly(err); err != nil {
		t.Errorf("a reader who has gone: %v", err)
	}
	if err := quietly(syscall.ENOSPC); err == nil {
		t.Error("a full disk is passed over")
	}
}
