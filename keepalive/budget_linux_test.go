package keepalive

import (
	"errors"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"
)

// With the kernel's own range: one dial more than there are ports waits for one to be
// closed by the server, which leaves no TIME-WAIT here, and does not fail.
func TestRootBudgetWaits(t *testing.T) {
	ports(t, 23000, 23019)
	l := listen(t, address(9600))
	accepted := make(chan net.Conn, 100)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	stats := new(Stats)
	d := Dialer(Options{Budget: &Budget{}, Stats: stats})
	var conns []net.Conn
	for range 20 {
		c, err := d.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns = append(conns, c)
	}
	done := make(chan error, 1)
	go func() {
		c, err := d.Dial("tcp", l.Addr().String())
		if err == nil {
			defer c.Close()
		}
		done <- err
	}()
	select {
	case err := <-done:
		t.Fatalf("did not wait: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	(<-accepted).Close()
	// Whoever reads the end closes.
	for _, c := range conns {
		go func() { c.Read(make([]byte, 1)); c.Close() }()
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if c := stats.Read(); c.Waited != 1 || c.Failed != 0 || c.Opened != 21 {
		t.Errorf("counted %+v", c)
	}
}

// The ports that others have count too, those that were taken before and behind its
// back.
func TestRootBudgetSeesOthers(t *testing.T) {
	ports(t, 23100, 23119)
	l := sink(t, address(9601))
	for range 20 {
		c, err := net.Dial("tcp", l.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	fast := Dialer(Options{Budget: &Budget{FailFast: true}})
	_, err := fast.Dial("tcp", l.String())
	// The first dial cannot know; what it learns is right.
	if full, ok := errors.AsType[*PortsExhausted](err); !ok || full.Taken["ESTAB"] != 20 {
		t.Errorf("%v, want a *PortsExhausted", err)
	}
	slow := Dialer(Options{Budget: &Budget{MaxWait: 200 * time.Millisecond}})
	began := time.Now()
	_, err = slow.Dial("tcp", l.String())
	if took := time.Since(began); took < 200*time.Millisecond || !errors.Is(err, syscall.EADDRNOTAVAIL) {
		t.Errorf("%v after %v, want EADDRNOTAVAIL after 200 ms", err, took)
	}
}

// More dials than ports, from many goroutines at a time, each closed by the client at
// once: with reuse of TIME-WAITs after a second none fails.
func TestRootBudgetCarriesABurst(t *testing.T) {
	ports(t, 23200, 23249)
	setting(t, "ipv4/tcp_tw_reuse", "1")
	l := sink(t, address(9602))
	stats := new(Stats)
	d := Dialer(Options{Budget: &Budget{}, Stats: stats})
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			c, err := d.Dial("tcp", l.String())
			if err != nil {
				t.Error(err)
				return
			}
			c.Close()
		})
	}
	all.Wait()
	if c := stats.Read(); c.Opened != 200 || c.Waited == 0 || c.Open != 0 {
		t.Errorf("counted %+v", c)
	}
}
