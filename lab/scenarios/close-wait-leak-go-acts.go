package scenarios

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"runtime"
	"time"

	"github.com/tcpvet/tcpvet/lab"
)

// goClient makes requests by Go's net/http, and does with the bodies of the
// answers what it is told to.
var goClient = lab.Act{Name: "go-client", Learn: func(c *lab.Cues) {
	g := &gopher{client: &http.Client{Transport: &http.Transport{}}}
	lab.On(c, goGet, g.get)
	lab.On(c, goTidy, g.tidy)
}}

// The cues of goClient.
const (
	goGet  = "get"  // goOrder, goAnswered
	goTidy = "tidy" // struct{}, goAnswered: collect garbage, and close what is idle in the pool
)

type goOrder struct {
	URL   string
	Times int
	Read  bool // read the body to its end
	Close bool // close it
}

// goAnswered is what became of the requests.
type goAnswered struct {
	Answered   int
	Opened     int // connections
	Goroutines int // in the process, after all
	Took       time.Duration
}

type gopher struct{ client *http.Client }

func (g *gopher) get(order goOrder) (a goAnswered, err error) {
	begin := time.Now()
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		GotConn: func(c httptrace.GotConnInfo) {
			if !c.Reused {
				a.Opened++
			}
		},
	})
	for a.Answered < order.Times {
		if err := g.once(ctx, order); err != nil {
			return a, fmt.Errorf("request %d: %w", a.Answered+1, err)
		}
		a.Answered++
	}
	a.Took, a.Goroutines = time.Since(begin), runtime.NumGoroutine()
	return a, nil
}

func (g *gopher) once(ctx context.Context, order goOrder) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, order.URL, nil)
	if err != nil {
		return err
	}
	resp, err := g.client.Do(req)
	if err != nil {
		return err
	}
	if order.Close {
		defer resp.Body.Close()
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the answer is %s", resp.Status)
	}
	if order.Read {
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return fmt.Errorf("read the body: %w", err)
		}
	}
	return nil
}

func (g *gopher) tidy(struct{}) (goAnswered, error) {
	// What a finalizer holds goes with the second collection.
	runtime.GC()
	runtime.GC()
	g.client.CloseIdleConnections()
	return goAnswered{Goroutines: runtime.NumGoroutine()}, nil
}
