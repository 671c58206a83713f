package jsonv1

import (
	"bytes"
	"encoding/json"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/probe"
)

// Explanation is the member explanation of a line of tcpvet/event/v1: why what was
// seen to fail did.
type Explanation struct {
	By        string     `json:"by"` // look, repeated, event
	Certainty string     `json:"certainty"`
	Text      []string   `json:"text"`
	Headroom  *Tuple     `json:"headroom"`
	Evidence  []Evidence `json:"evidence"`
	Remedies  []Remedy   `json:"remedies"`
	Gaps      []Gap      `json:"gaps"`
}

// ExplanationOf gives the shape of x.
func ExplanationOf(x *probe.Explanation) Explanation {
	out := Explanation{
		By: "event", Certainty: x.Certainty.String(), Text: append([]string{}, x.Text...),
		Evidence: make([]Evidence, 0, len(x.Evidence)), Remedies: remediesOf(x.Remedies), Gaps: Gaps(x.Gaps),
	}
	switch {
	case x.Repeated:
		out.By = "repeated"
	case x.Looked:
		out.By = "look"
	}
	for _, e := range x.Evidence {
		out.Evidence = append(out.Evidence, Evidence(e))
	}
	if x.Use != nil && x.Census != nil {
		t := InCensus(x.Census).TupleOf(x.Census, x.Use)
		out.Headroom = &t
	}
	return out
}

// AppendFailure appends the line of e with its explanation, without its end.
func (l Lookup) AppendFailure(b []byte, e *tcpvet.Event, x *probe.Explanation) ([]byte, error) {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(ExplanationOf(x)); err != nil {
		return b, err
	}
	b = l.AppendEvent(b, e)
	b = append(b[:len(b)-1], `,"explanation":`...)
	b = append(b, bytes.TrimSuffix(text.Bytes(), []byte("\n"))...)
	return append(b, '}'), nil
}
