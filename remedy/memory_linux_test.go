package remedy

import (
	"context"
	"errors"
	"strings"

	"github.com/tcpvet/tcpvet"
)

// memory is an actor whose targets are runs with a text.
type memory struct {
	has     map[string]tcpvet.Value
	fail    string // the target that fails
	stop    string // the target at which it gives up
	applied []string
	makes   map[string]string // what becomes of a value, by target
	before  func()            // called before anything is changed
	reached map[string]func() // called before a target is changed
}

var errStop = errors.New("stop")

func newMemory(names ...string) *memory {
	m := &memory{has: make(map[string]tcpvet.Value)}
	for _, name := range names {
		m.has[name] = tcpvet.Value{Text: "off"}
	}
	return m
}

// runs are changes from off to on.
func runs(names ...string) (out []tcpvet.Change) {
	for _, name := range names {
		out = append(out, tcpvet.Change{Target: tcpvet.Target{Run: name}, Before: tcpvet.Value{Text: "off"}, After: tcpvet.Value{Text: "on"}})
	}
	return out
}

func (m *memory) Present(_ context.Context, changes []tcpvet.Change) error {
	for i := range changes {
		if c := &changes[i]; c.Outcome == tcpvet.OutcomePlanned {
			v, ok := m.has[c.Target.Run]
			if !ok {
				c.Outcome, c.Reason = tcpvet.OutcomeGone, "it has ended"
			}
			c.Before = v
		}
	}
	return nil
}

func (m *memory) Apply(_ context.Context, changes []tcpvet.Change, tell Tell) error {
	if m.before != nil {
		m.before()
	}
	for i := range changes {
		c := &changes[i]
		name := c.Target.Run
		if f := m.reached[name]; f != nil {
			f()
		}
		if text, ok := m.makes[name]; ok {
			c.After.Text = text
		}
		switch {
		case c.Outcome != tcpvet.OutcomePlanned:
		case name == m.stop:
			return errStop
		case name == m.fail:
			tell(i, tcpvet.OutcomeFailed, "no luck")
		default:
			m.has[name] = c.After
			m.applied = append(m.applied, name)
			tell(i, tcpvet.OutcomeApplied, "")
			tell(i, tcpvet.OutcomeFailed, "told twice")
		}
	}
	return nil
}

// outcomesOf words what became of the changes.
func outcomesOf(p *Plan) string {
	var out []string
	for _, c := range p.Changes {
		out = append(out, strings.TrimSpace(c.Target.Run+c.Target.Setting+" "+string(c.Outcome)))
	}
	return strings.Join(out, ", ")
}
