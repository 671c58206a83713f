package scenarios

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/tcpvet/tcpvet/lab"
)

// churner is a client that closes each connection first.
type churner struct {
	host   *lab.Host
	client *lab.Process
	ports  int           // of its range
	delay  time.Duration // after which a TIME-WAIT is reused, where reuse is on
	exact  bool          // it is a setting
}

// begin starts the client on a host, with reuse as told.
func (c *churner) begin(h *lab.Host, reuse int) (err error) {
	if err := c.readDelay(h); err != nil {
		return err
	}
	c.host = h
	if err := set(h, map[string]int{"tcp_tw_reuse": reuse}); err != nil {
		return err
	}
	c.client, err = h.Start(portTaker, "crawler")
	return err
}

// readDelay reads after how long a TIME-WAIT may be reused: a second, where that is
// no setting (kernel function tcp_twsk_unique).
func (c *churner) readDelay(h *lab.Host) error {
	ms, err := setting(h, "tcp_tw_reuse_delay")
	if missing(err) {
		c.delay = time.Second
		return nil
	}
	c.delay, c.exact = time.Duration(ms)*time.Millisecond, true
	return err
}

// churn makes requests, a connection each.
func (c *churner) churn(ctx context.Context, order churnOrder) (r churned, err error) {
	err = c.client.Cue(ctx, takerChurn, order, &r)
	return r, err
}

// all makes requests that have to succeed.
func (c *churner) all(ctx context.Context, order churnOrder) (churned, error) {
	r, err := c.churn(ctx, order)
	if err == nil && r.Failure != nil {
		err = fmt.Errorf("request %d to %s: %v", r.Count+1, order.To, r.Failure)
	}
	return r, err
}

// use uses up the ports to a service, while nothing is reused.
func (c *churner) use(ctx context.Context, to netip.AddrPort) (r churned, err error) {
	reuse, err := setting(c.host, "tcp_tw_reuse")
	if err != nil {
		return r, err
	}
	if err := set(c.host, map[string]int{"tcp_tw_reuse": 0}); err != nil {
		return r, err
	}
	if r, err = c.churn(ctx, churnOrder{To: to, Count: c.ports + 1}); err != nil {
		return r, err
	}
	if err := failsBy(r.Failure, "connect", "EADDRNOTAVAIL"); err != nil {
		return r, fmt.Errorf("%d connections to %s: %w", r.Count, to, err)
	}
	if err := exactly("connections over the ports of the range", r.Count, c.ports); err != nil {
		return r, err
	}
	return r, set(c.host, map[string]int{"tcp_tw_reuse": reuse})
}

// none makes sure that no port comes back, though all are older than the delay.
func (c *churner) none(ctx context.Context, to netip.AddrPort) (string, error) {
	r, err := c.churn(ctx, churnOrder{To: to, Count: 1, Insist: c.delay + c.delay/4})
	if err != nil {
		return "", err
	}
	if r.Count > 0 {
		return "", fmt.Errorf("a port to %s came back after %s, which was to rest in TIME-WAIT", to, r.Took)
	}
	return "no connection", failsBy(r.Failure, "connect", "EADDRNOTAVAIL")
}

// some measures how many connections a second the ports bear, where each is reused.
func (c *churner) some(ctx context.Context, step *lab.Step, name string, to netip.AddrPort) (string, error) {
	// The ports that have rested long enough come first, all at once.
	order := churnOrder{To: to, Count: c.ports, Insist: lab.Generous}
	if _, err := c.all(ctx, order); err != nil {
		return "", err
	}
	order.Count = 2 * c.ports
	r, err := c.all(ctx, order)
	if err != nil {
		return "", err
	}
	// Each port serves once in any time as long as the delay. Kernels that
	// have no setting for it count in whole seconds.
	if most := c.ports * int(r.Took/c.delay+1); c.exact && r.Count > most {
		return "", fmt.Errorf("%d connections to %s in %s, which %d ports cannot bear that are reused after %s", r.Count, to, r.Took, c.ports, c.delay)
	}
	return fmt.Sprintf("%s connections in %s, which is %s", step.Count(name+"_count", r.Count), step.Seconds(name+"_seconds", r.Took),
		step.Rate(name+"_per_s", float64(r.Count)/r.Took.Seconds())), nil
}
