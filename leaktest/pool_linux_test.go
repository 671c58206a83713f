package leaktest

import (
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
)

// in makes a goroutine with the calls, innermost first.
func in(id uint64, functions ...string) goroutine {
	g := goroutine{id: id}
	for _, f := range functions {
		g.frames = append(g.frames, runtime.Frame{Function: f})
	}
	return g
}

func TestQuiet(t *testing.T) {
	const mine = 7
	me := in(mine, "app.TestMine", "testing.tRunner")
	asks := in(8, roundTrip, "net/http.(*Transport).roundTrip")
	asks.asks = 1
	for _, test := range []struct {
		name  string
		other goroutine
		want  bool
	}{
		{"a worker", in(8, "sync.(*WaitGroup).Wait", "app.worker"), true},
		{"the test around", in(8, "testing.(*T).Run", "app.TestAll", "testing.tRunner"), true},
		{"a test that waits for its turn", in(8, "testing.(*T).Parallel", "app.TestB", "testing.tRunner"), true},
		{"one that waits for its subtests", in(8, "testing.tRunner.func1", "testing.tRunner"), true},
		{"another test", in(8, "app.TestB", "testing.tRunner"), false},
		{"another test that waits", in(8, "sync.(*WaitGroup).Wait", "app.TestB", "testing.tRunner"), false},
		{"a request", asks, false},
		{"nothing known", goroutine{id: 8}, true},
	} {
		if got := quiet([]goroutine{me, test.other}, mine); got != test.want {
			t.Errorf("%s: quiet %v, want %v", test.name, got, test.want)
		}
	}
}

// A transport that has been put in place of the default one is known by no hook.
func TestMayPool(t *testing.T) {
	if pooled.Swap(false) {
		defer pooled.Store(true)
	}
	if mayPool() {
		t.Error("the pool is empty, and nothing but the hook dials for it")
	}
	defer func(rt http.RoundTripper) { http.DefaultTransport = rt }(http.DefaultTransport)
	http.DefaultTransport = http.NewFileTransport(http.Dir(t.TempDir()))
	if !mayPool() {
		t.Error("another default transport is taken for the one with the hook")
	}
}

// The function that reads a connection of HTTP/2, as runtime names it in each copy.
func TestStreams(t *testing.T) {
	for name, want := range map[string]bool{
		"net/http.(*http2clientConnReadLoop).run":          true,
		"golang.org/x/net/http2.(*clientConnReadLoop).run": true,
		"net/http.(*persistConn).readLoop":                 false,
		"app/http2.(*clientConnReadLoop).run.func1":        false,
	} {
		if got := streams(name); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

// The default transport's pool is emptied while nothing else happens, and only then.
func TestCloseIdle(t *testing.T) {
	srv := serve(t, hello)
	rightGet(t, http.DefaultClient, srv.URL)
	me := current()
	if !pooled.Load() {
		t.Error("a connection in the pool is not known")
	}
	if !closeIdle(me) || pooled.Load() {
		t.Error("the pool was left, though this test is alone")
	}

	rightGet(t, http.DefaultClient, srv.URL)
	asked, answer := make(chan bool), make(chan bool)
	slow := serve(t, func(http.ResponseWriter, *http.Request) { asked <- true; <-answer })
	done := make(chan bool)
	go func() {
		rightGet(t, http.DefaultClient, slow.URL)
		close(done)
	}()
	<-asked
	if closeIdle(me) || !pooled.Load() {
		t.Error("the pool was emptied while a request was under way")
	}
	close(answer)
	<-done
	if !closeIdle(me) {
		t.Error("the pool was left after the request")
	}
}

// While a request is under way the pool is left, and what is idle in it is no leak;
// that request's own connection is.
func TestCheckBusyPool(t *testing.T) {
	r := &recorder{name: t.Name()}
	Check(r) // a reading goroutine may have to get back to its place
	srv := serve(t, hello)
	rightGet(t, http.DefaultClient, srv.URL)
	asked, answer := make(chan bool), make(chan bool)
	slow := serve(t, func(http.ResponseWriter, *http.Request) { asked <- true; <-answer })
	done := make(chan bool)
	go func() {
		rightGet(t, http.DefaultClient, slow.URL)
		close(done)
	}()
	<-asked
	r.end()
	close(answer)
	<-done
	if len(r.errors) != 1 || !strings.Contains(r.errors[0], slow.Listener.Addr().String()) ||
		!strings.Contains(r.errors[0], "its request is still under way") || len(r.logs) != 0 {
		t.Errorf("told %q, logged %q", r.errors, r.logs)
	}
}

// A connection of before is this test's once its request was given it: its body is told
// of, and neither what is idle since nor what a request of another test has.
func TestCheckOldPool(t *testing.T) {
	around := &recorder{name: "TestAround"}
	Check(around) // as of a test beside this one, or of Main
	srv := serve(t, hello)
	transport := &http.Transport{}
	Watch(transport)
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	rightGet(t, client, srv.URL)

	mine, other := &recorder{name: t.Name(), parallel: true}, &recorder{name: "TestOther", parallel: true}
	Check(mine)
	rightGet(t, client, srv.URL)
	mine.end()
	if len(mine.errors)+len(mine.logs) != 0 {
		t.Errorf("an idle connection is told of: %q, logged %q", mine.errors, mine.logs)
	}
	resp, err := client.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	Check(mine)
	mine.end()
	if len(mine.errors)+len(mine.logs) != 0 {
		t.Errorf("a request from before is told of: %q, logged %q", mine.errors, mine.logs)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()

	Check(mine)
	Check(mine)
	Check(other)
	if resp, err = client.Get(srv.URL); err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	other.end()
	mine.end()
	if len(other.errors)+len(other.logs) != 0 {
		t.Errorf("another test's: told %q, logged %q", other.errors, other.logs)
	}
	if len(mine.errors) != 1 || !strings.Contains(mine.errors[0], "the request at this line was given it last") || len(mine.logs) != 0 {
		t.Errorf("told %q, logged %q", mine.errors, mine.logs)
	}
	if around.end(); len(around.errors)+len(around.logs) != 0 {
		t.Errorf("told again: %q, logged %q", around.errors, around.logs)
	}
}
