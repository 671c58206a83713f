package keepalive_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/tcpvet/tcpvet/keepalive"
)

// One client for the whole program. The server's nginx has keepalive_timeout 75s.
func ExampleTransport() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }))
	defer server.Close()

	client := &http.Client{Transport: keepalive.Transport(keepalive.Options{ServerIdle: 75 * time.Second})}
	resp, err := client.Get(server.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	fmt.Println(string(body), err)
	// Output: hello <nil>
}

// A dialer for what is not HTTP: a pool of a database, a proxy.
func ExampleDialer() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()

	dialer := keepalive.Dialer(keepalive.Options{Idle: 60 * time.Second, Interval: 10 * time.Second, Count: 3})
	conn, err := dialer.Dial("tcp", l.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%T\n", conn)
	fmt.Println(conn.Close())
	// Output:
	// *net.TCPConn
	// <nil>
}

// A gateway that translates addresses has two ports for us: the third dial fails, and
// says when it is worth another try.
func ExampleBudget() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()

	dialer := keepalive.Dialer(keepalive.Options{Budget: &keepalive.Budget{Ports: 2, FailFast: true}})
	for range 3 {
		conn, err := dialer.Dial("tcp", l.Addr().String())
		if full, ok := errors.AsType[*keepalive.BudgetExceeded](err); ok {
			fmt.Printf("%d of %d ports are taken, retry in a minute: %v\n", full.Open+full.Resting, full.Ports, full.Retry > 50*time.Second)
			return
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		conn.Close()
	}
	// Output: 2 of 2 ports are taken, retry in a minute: true
}

// A body that nobody closes, and who asked for it.
func ExampleOptions_trackLeaks() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell")
		conn.Close()
	}))
	defer server.Close()

	leaks := make(chan keepalive.Leak, 1)
	client := &http.Client{Transport: keepalive.Transport(keepalive.Options{
		TrackLeaks:   true,
		LeakPatience: 100 * time.Millisecond, // a minute, where it is not an example
		OnLeak:       func(l keepalive.Leak) { leaks <- l },
	})}
	resp, err := client.Get(server.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	leak := <-leaks
	fmt.Println(leak.State, "by", leak.Caller.Function)
	resp.Body.Close()
	// Output: CLOSE-WAIT by github.com/tcpvet/tcpvet/keepalive_test.ExampleOptions_trackLeaks
}
