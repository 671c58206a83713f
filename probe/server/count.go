package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tcpvet/tcpvet/probe"
)

// count counts how many requests a connection is given, and where the server did not
// announce its end, whether another is given as many.
func (m *Measurement) count(ctx context.Context) {
	begun := time.Now()
	ctx, cancel := context.WithDeadline(ctx, begun.Add(m.o.Most))
	defer cancel()
	r := m.run(ctx, &m.found.Requests.Others)
	r.Most = m.o.Requests
	if r.How != probe.StillOpen && !r.Told && r.Why == "" && r.Answered > 0 {
		again := m.run(ctx, &m.found.Requests.Others)
		switch {
		case again.Why != "":
			r.Why = "to make sure it was tried again, and " + again.Why
		default:
			r.Again = again.Answered
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r.Others, r.Took = m.found.Requests.Others, time.Since(begun)
	m.found.Requests = r
}

// run makes requests on one connection until the server ends it, or enough were made.
func (m *Measurement) run(ctx context.Context, others *int) probe.Requests {
	var r probe.Requests
	l, err := connect(ctx, &m.o, m.found.Remote)
	if err != nil {
		r.Why = why(ctx, err)
		return r
	}
	defer l.close()
	stop := context.AfterFunc(ctx, func() { _ = l.raw.SetDeadline(longAgo) })
	defer stop()
	var traffic int64
	for r.Answered < m.o.Requests && ctx.Err() == nil {
		a, err := l.ask(m.o.Timeout)
		var e *ended
		switch {
		case ctx.Err() != nil:
		case errors.As(err, &e):
			r.How = e.how
			return r
		case err != nil:
			r.Why = why(ctx, err)
			return r
		default:
			r.Answered++
			m.mu.Lock()
			m.answered++
			if a.Status != m.found.Answer.Status {
				*others++
			}
			m.mu.Unlock()
			if a.Close {
				r.Told = true // how it ends then is not waited for
				return r
			}
			if traffic += a.bytes; traffic > mostTraffic && r.Answered < m.o.Requests {
				r.Why = fmt.Sprintf("the answers had %d MiB together; --method HEAD counts without them", traffic>>20)
				return r
			}
		}
	}
	if ctx.Err() != nil {
		r.Why = why(ctx, ctx.Err())
	}
	return r
}

// why says in words what broke counting off.
func why(ctx context.Context, err error) string {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return "the time of --most was over"
	}
	if ctx.Err() != nil {
		return "it was stopped"
	}
	return err.Error()
}
