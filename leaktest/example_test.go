package leaktest_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet/leaktest"
)

func ExampleCheck() {
	_ = func(t *testing.T) { // TestFetch
		leaktest.Check(t)

		resp, err := http.Get("http://app.example/")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close() // without it the test fails, and names the line of Get
	}
}

func ExampleMain() {
	_ = func(m *testing.M) { // TestMain
		leaktest.Main(m)
	}
}

func ExampleOptions() {
	_ = func(t *testing.T) { // TestStore
		leaktest.Options{
			Settle: 3 * time.Second,
			Ignore: func(c leaktest.Conn) bool {
				return c.Remote.Port() == 5432 || c.By("example.com/app.(*Pool).Open")
			},
		}.Check(t)
	}
}

// A client with a transport of its own, whose connections are to be known by the line
// of the request.
func ExampleWatch() {
	transport := &http.Transport{MaxConnsPerHost: 10}
	leaktest.Watch(transport)
	client := &http.Client{Transport: transport}
	defer client.CloseIdleConnections()
}
