package leaktest

import (
	"net"
	"testing"

	"github.com/tcpvet/tcpvet/internal/opened"
)

// A dial that ends as the last check does finds the ledger closed.
func TestLedgerClosed(t *testing.T) {
	conn, err := net.Dial("tcp", listen(t, "127.0.0.1:0").Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var own opened.Book
	book.add(opened.Note(t.Context(), conn, "test", 0, &own), conn.(*net.TCPConn))
	k, err := keyOfConn(conn.(*net.TCPConn))
	if err != nil {
		t.Fatal(err)
	}
	if book.find(k) != nil {
		t.Error("a connection is noted while nothing is checked")
	}
}

// What has no descriptor left is forgotten; a copy of a descriptor is one.
func TestLedgerDrop(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	book.open()
	defer book.close()
	var keys []key
	var conns []*net.TCPConn
	for range 3 {
		conn, err := new(Dialer).Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conns = append(conns, conn.(*net.TCPConn))
		k, err := keyOfConn(conn.(*net.TCPConn))
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
	}
	file, err := conns[1].File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	conns[1].Close()
	conns[2].Close()
	book.Lock()
	defer book.Unlock()
	book.drop()
	for i, want := range []bool{true, true, false} {
		if got := book.conns[keys[i]] != nil; got != want {
			t.Errorf("connection %d: known %v, want %v", i, got, want)
		}
	}
}

// Under many connections the ledger stays as large as what is open.
func TestLedgerBounded(t *testing.T) {
	addr := peer(t, hangUp)
	book.open()
	defer book.close()
	for range 2*fewEntries + 10 {
		conn, err := new(Dialer).Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.(*net.TCPConn).SetLinger(0) // no TIME-WAIT
		conn.Close()
	}
	book.Lock()
	defer book.Unlock()
	if n := len(book.conns); n > fewEntries {
		t.Errorf("%d connections are known, none is open", n)
	}
}

// Checks that overlap share the ledger; the last one empties it.
func TestLedgerShared(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	book.open()
	book.open()
	conn, err := new(Dialer).Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	k, err := keyOfConn(conn.(*net.TCPConn))
	if err != nil {
		t.Fatal(err)
	}
	book.close()
	e := book.find(k)
	if e == nil || e.goroutine != current() || e.conn.Hook != "leaktest.Dialer" {
		t.Errorf("got %+v", e)
	}
	book.close()
	if book.find(k) != nil || book.conns != nil {
		t.Error("something is still known")
	}
}
