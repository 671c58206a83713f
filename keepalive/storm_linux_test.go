package keepalive

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// fickle is a server that closes its connections at random once it has answered on
// them: at once, after a moment, with a FIN or a reset, announced or not, and in the
// face of a request that has just come.
type fickle struct {
	net.Listener
	conns  atomic.Int64
	served [stormRequests]atomic.Int32 // how often each request came
}

func (s *fickle) run() {
	for {
		c, err := s.Accept()
		if err != nil {
			return
		}
		s.conns.Add(1)
		go s.serve(c.(*net.TCPConn))
	}
}

func (s *fickle) serve(c *net.TCPConn) {
	defer c.Close()
	r := bufio.NewReader(c)
	for n := 0; ; n++ {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		id, _ := strconv.Atoi(req.Header.Get("Id"))
		s.served[id].Add(1)
		mood := rand.IntN(100)
		if n > 0 && mood < 3 {
			return // read, and never answered
		}
		if n > 0 && mood < 5 {
			c.SetLinger(0)
			return
		}
		last := mood < 10
		head := ""
		if last {
			head = "Connection: close\r\n"
		}
		answer := fmt.Sprintf("%d %s", id, body)
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s", head, len(answer), answer)
		if last {
			return
		}
		if mood < 15 {
			// The next request may be on its way.
			time.Sleep(time.Duration(rand.IntN(300)) * time.Microsecond)
			return
		}
	}
}

const (
	stormRequests = 10_000
	stormClients  = 40
	stormPorts    = 100
)

// Ten thousand requests over a hundred ports, against a server that closes at random: a
// request that may be sent again is answered, and rightly; one that may not is sent
// once at most; and nothing is left open.
func TestRootStorm(t *testing.T) {
	ports(t, 25000, 25000+stormPorts-1)
	setting(t, "ipv4/tcp_tw_reuse", "1")
	s := &fickle{Listener: listen(t, address(9700))}
	go s.run()
	before := kerneltest.UsageNow(t)
	var c collected
	o := c.options()
	o.LeakPatience = time.Second
	o.Budget = &Budget{}
	client := &http.Client{Transport: Transport(o), Timeout: 2 * time.Minute}
	url := "http://" + s.Addr().String() + "/"

	var next, refused atomic.Int64
	var all sync.WaitGroup
	for range stormClients {
		all.Go(func() {
			for {
				id := int(next.Add(1) - 1)
				if id >= stormRequests {
					return
				}
				if err := ask(client, url, id); err != nil {
					if !mayFail(id) {
						t.Errorf("request %d: %v", id, err)
					}
					if !lostToTheRace(err) {
						t.Errorf("request %d failed otherwise than by the race: %v", id, err)
					}
					refused.Add(1)
				}
			}
		})
	}
	all.Wait()
	for id := range s.served {
		n := s.served[id].Load()
		if mayFail(id) && n > 1 {
			t.Errorf("request %d, which may not be sent twice, came %d times", id, n)
		}
		if !mayFail(id) && n < 1 {
			t.Errorf("request %d never came", id)
		}
	}
	counts := o.Stats.Read()
	t.Logf("%d connections, %d of %d POSTs without a key lost; %+v", s.conns.Load(), refused.Load(), stormRequests/10, counts)
	if s.conns.Load() < 5*stormPorts || refused.Load() == 0 {
		t.Error("the server was too tame to show anything")
	}
	if counts.PortsExhausted != 0 || counts.BudgetExceeded != 0 || counts.Leaks != 0 {
		t.Errorf("%+v", counts)
	}

	client.CloseIdleConnections()
	s.Close()
	until(t, "nothing is open", func() bool { return o.Stats.Read().Open == 0 })
	until(t, "no descriptor is left", func() bool { return kerneltest.UsageNow(t).Descriptors <= before.Descriptors })
	if n := states(t, s.Addr().String())["CLOSE-WAIT"]; n != 0 {
		t.Errorf("%d in CLOSE-WAIT", n)
	}
}

// mayFail is so of a tenth: POSTs without a key.
func mayFail(id int) bool { return id%10 == 3 }

// ask sends a request: GETs, POSTs with a key and a tenth without.
func ask(client *http.Client, url string, id int) error {
	method, body := "GET", ""
	if id%10 == 3 || id%10 == 7 {
		method, body = "POST", strings.Repeat("b", id%2000)
	}
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Id", strconv.Itoa(id))
	if id%10 == 7 {
		req.Header.Set("Idempotency-Key", strconv.Itoa(id))
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err == nil && string(got) != fmt.Sprintf("%d %s", id, body) {
		err = fmt.Errorf("answered %.40q", got)
	}
	return err
}

// lostToTheRace tells whether the connection ended before an answer, and not for want
// of a port or of patience.
func lostToTheRace(err error) bool {
	_, exhausted := errors.AsType[*PortsExhausted](err)
	_, exceeded := errors.AsType[*BudgetExceeded](err)
	ne, ok := errors.AsType[net.Error](err)
	return !exhausted && !exceeded && !(ok && ne.Timeout())
}
