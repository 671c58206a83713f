package dump

import (
	"errors"
	"fmt"

	"github.com/tcpvet/tcpvet"
)

// searched is how many lines may stand before the dump.
const searched = 1000

// verdict says what a line is to the dialect that reads it.
type verdict uint8

const (
	foreign verdict = iota // none of its lines
	ours                   // a header, or more about the socket above it
	socket
	other // a socket that is not TCP
	again // the beginning of a second dump of the same kind
)

// dialect reads the lines of one kind of dump.
type dialect interface {
	read(in *lines) (verdict, error)
}

// parser finds a dump in a text and reads it.
type parser struct {
	opt  Options
	dump *Dump
	dialect
	cmd command // the last one before the dump

	quote    int        // marks of a quotation before each line of the dump
	preamble *LineError // the first line before the dump that is nothing we know
	before   int        // lines before the dump

	ended bool // a fence or a prompt came after sockets
	runs  bool // the prompt has a command, whose output follows

	damaged int
	first   *LineError // of those damaged
	second  *LineError // where a second dump begins
	ignored int        // lines from there on
	cut     *LineError // where the reader could give no more
}

// line takes the next line of the text.
func (p *parser) line(in *lines) error {
	if p.quote > 0 {
		var ok bool
		if in.text, ok = unquote(in.text, p.quote); !ok {
			return p.unquoted(in)
		}
	}
	w := words{rest: in.text}
	first := w.next()
	switch {
	case len(first) == 0:
		return nil
	case p.second != nil:
		p.ignored++
		return nil
	case fence(first):
		if p.dialect == nil {
			p.before++
		}
		if p.dump.records.len()+p.dump.others > 0 { // else it may hold the lines and not the header
			p.end(false)
		}
		return nil
	case p.dialect == nil:
		if found, err := p.find(in); !found || err != nil {
			return err
		}
	case p.ended:
		if more, err := p.behind(in); !more || err != nil {
			return err
		}
	}
	if in.long {
		return p.damage(in, errLong)
	}
	v, err := p.read(in)
	switch {
	case err != nil:
		return p.damage(in, err)
	case v == other:
		p.dump.others++
	case v == again:
		return p.another(in, p.dump.kind)
	case v == foreign:
		return p.foreign(in)
	}
	return nil
}

// find looks for the first line of a dump.
func (p *parser) find(in *lines) (found bool, err error) {
	marks := quoted(in.text)
	in.text, _ = unquote(in.text, marks)
	k, header := recognise(in.text)
	if k == kindNone {
		if p.before++; p.before > searched {
			return false, ErrUnrecognised
		}
		w := words{rest: in.text}
		if first := w.next(); len(first) == 0 || fence(first) || noise(in.text) {
			return false, nil
		}
		if c, _, ok := typed(in.text); ok {
			if c.kind != kindNone {
				p.cmd = c
			}
		} else if p.preamble == nil {
			p.preamble = lineError(in.n, in.text, errAbove)
		}
		return false, nil
	}
	if p.cmd.kind != k {
		p.cmd = command{}
	}
	t := &p.dump.table
	p.dump.kind, p.quote = k, marks
	switch k {
	case kindSS:
		p.dialect = &ss{table: t, cmd: p.cmd}
	case kindNetstat:
		p.dialect = &netstat{table: t, cmd: p.cmd}
	case kindLsof:
		p.dialect = &lsof{table: t}
	case kindNetTCP:
		p.dialect = &netTCP{table: t}
	}
	if p.preamble != nil && !header {
		// Without a header the line before may have been one of the dump.
		return true, p.record(p.preamble)
	}
	return true, nil
}

// another ends the reading: what follows would count the same sockets twice.
func (p *parser) another(in *lines, k kind) error {
	e := lineError(in.n, in.text, fmt.Errorf("a second dump begins here, of %v; leave one of them", k))
	if !p.opt.Lenient {
		return e
	}
	p.second, p.ignored = e, 1
	return nil
}

// damage takes a line that cannot be read.
func (p *parser) damage(in *lines, err error) error {
	return p.record(lineError(in.n, in.text, err))
}

func (p *parser) record(e *LineError) error {
	var f fatal
	if !p.opt.Lenient || errors.As(e.Err, &f) {
		return e
	}
	if p.damaged++; p.first == nil {
		p.first = e
	}
	return nil
}

// finish makes the Dump whole.
func (p *parser) finish() (*Dump, error) {
	d := p.dump
	if p.dialect == nil {
		switch {
		case p.cut != nil:
			return nil, p.cut
		case p.first != nil:
			return nil, p.first
		case p.before == 0:
			return nil, ErrEmpty
		}
		return nil, ErrUnrecognised
	}
	known, states, held := d.seen()
	whole, err := p.whole(known, states)
	if err != nil {
		return nil, err
	}
	if d.records.len() == 0 { // nothing read is not nothing there
		switch {
		case p.first != nil:
			return nil, p.first
		case p.cut != nil:
			return nil, p.cut
		}
	}
	d.facts = known | whole
	if d.timers {
		d.facts |= tcpvet.FactTimer
	}
	if held {
		d.facts |= tcpvet.FactHolders
	}
	if states.Has(tcpvet.TimeWait) {
		d.facts |= tcpvet.FactTimeWait
	}
	if states.Has(tcpvet.Listen) {
		d.facts |= tcpvet.FactListeners
	}
	if states.Has(tcpvet.BoundInactive) {
		d.facts |= tcpvet.FactBound
	}
	if p.opt.Ports != nil {
		d.facts |= tcpvet.FactPortRange
	}
	p.gap("sockets", p.first, p.damaged)
	p.gap("sockets", p.second, p.ignored)
	p.gap("the rest of the text", p.cut, 0)
	d.cut = p.cut != nil
	return d, nil
}

// whole asks the dialect what its text tells as a whole.
func (p *parser) whole(known tcpvet.Facts, states tcpvet.StateSet) (tcpvet.Facts, error) {
	switch from := p.dialect.(type) {
	case *ss:
		return from.finish(p.dump, known, states)
	case *netstat:
		f, err := from.finish(p.dump, p.opt.Lenient)
		if p.dump.cutLost {
			p.gap("sockets", from.cut, from.cuts)
		}
		return f, err
	case *netTCP:
		return from.finish(p.dump), nil
	}
	return 0, nil
}

// gap reports what was left out: count lines, the first of them by name.
func (p *parser) gap(what string, first *LineError, count int) {
	if first == nil {
		return
	}
	why := first.Err.Error()
	if first.Text != "" {
		why += fmt.Sprintf(": %q", first.Text)
	}
	p.dump.gaps = append(p.dump.gaps, tcpvet.Gap{
		What: what, Where: fmt.Sprintf("line %d", first.Line), Err: why, Count: count,
	})
}
