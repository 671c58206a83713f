package opened

import (
	"context"
	"net"
	"testing"
)

// Who is told knows a connection before the one that dialled it does, may look at it
// and stop listening meanwhile, and hears nothing after that.
func TestTell(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dial := func() (net.Conn, *Conn) {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn, Note(context.Background(), conn, "test", 0)
	}

	type saying struct {
		conn *Conn
		tcp  *net.TCPConn
		open bool
	}
	var one, two []saying
	var stopTwo func()
	stopTwo = Tell(func(c *Conn, tcp *net.TCPConn) {
		two = append(two, saying{c, tcp, c.Look().Open})
		stopTwo()
	})
	stopOne := Tell(func(c *Conn, tcp *net.TCPConn) { one = append(one, saying{c, tcp, c.Look().Open}) })
	if !Watched() {
		t.Error("hooks may sleep while somebody is told")
	}
	conn, c := dial()
	want := saying{c, conn.(*net.TCPConn), true}
	if len(one) != 1 || len(two) != 1 || one[0] != want || two[0] != want {
		t.Errorf("told %v and %v, want %v", one, two, want)
	}
	dial()
	if len(one) != 2 || len(two) != 1 {
		t.Errorf("told %d and %d times, want twice and once", len(one), len(two))
	}
	stopOne()
	stopOne()
	if Watched() {
		t.Error("hooks are awake for nobody")
	}
	if _, c := dial(); c != nil || len(one) != 2 {
		t.Error("told after the end")
	}
}
