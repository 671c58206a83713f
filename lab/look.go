package lab

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/tcpvet/tcpvet"
)

// Look is a way to look at sockets, by the name of its source: "netlink".
// Namespaces are given as "pid:4121", the namespace of that process. Both
// functions are called inside the stage.
type Look struct {
	Name string

	// Take folds a look for the rules: with all that they may need.
	Take func(ctx context.Context, namespaces []string) (tcpvet.Census, error)

	// Sockets gives each socket by itself, with holders and tcp_info where
	// the source can tell.
	Sockets func(ctx context.Context, namespaces []string) ([]tcpvet.Socket, error)
}

// namespaces names those of all hosts.
func (s *Stage) namespaces() []string {
	var names []string
	for _, h := range s.hosts {
		names = append(names, fmt.Sprintf("pid:%d", h.PID))
	}
	return names
}

func (s *Stage) take(ctx context.Context, look Look) (tcpvet.Census, error) {
	census, err := look.Take(ctx, s.namespaces())
	if err != nil {
		return census, fmt.Errorf("look at the stage by %s: %w", look.Name, err)
	}
	return census, nil
}

// Ends looks at both ends of the connections to a service of the stage, on all
// hosts.
func (s *Stage) Ends(ctx context.Context, service netip.AddrPort) (Ends, error) {
	census, err := s.take(ctx, s.watch)
	if err != nil {
		return Ends{}, err
	}
	return EndsOf(&census, service), nil
}

// Census looks at all hosts.
func (s *Stage) Census(ctx context.Context) (tcpvet.Census, error) { return s.take(ctx, s.watch) }

// Sockets lists the sockets of one host, listeners too.
func (s *Stage) Sockets(ctx context.Context, h *Host) ([]tcpvet.Socket, error) {
	sockets, err := s.watch.Sockets(ctx, []string{fmt.Sprintf("pid:%d", h.PID)})
	if err != nil {
		return nil, fmt.Errorf("list the sockets of %s by %s: %w", h.Name, s.watch.Name, err)
	}
	return sockets, nil
}

// Settled waits until both ends of the connections to a service are as wanted,
// and gives them. what says for what, for the error.
func (s *Stage) Settled(ctx context.Context, service netip.AddrPort, what string, wanted func(Ends) bool) (ends Ends, err error) {
	err = Until(ctx, what, func() (bool, error) {
		ends, err = s.Ends(ctx, service)
		return err == nil && wanted(ends), err
	})
	if err != nil {
		return ends, fmt.Errorf("%w; the ends are: %v", err, ends)
	}
	return ends, nil
}

// Generous is how long a stage waits for what has to come, on a machine however
// busy, before it gives up. It is never what a play takes.
const Generous = time.Minute

const pollEvery = 10 * time.Millisecond

// Until waits until done says so, asking it again and again; it gives up after
// Generous. what says what is waited for, for the error: "the server to close".
func Until(ctx context.Context, what string, done func() (bool, error)) error {
	for begin := time.Now(); ; {
		ok, err := done()
		if err != nil || ok {
			return err
		}
		if time.Since(begin) > Generous {
			return fmt.Errorf("wait for %s: in vain for %s", what, Generous)
		}
		if err := Wait(ctx, pollEvery); err != nil {
			return fmt.Errorf("wait for %s: %w", what, err)
		}
	}
}

// Wait waits, or returns early with the reason why ctx ended.
func Wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
