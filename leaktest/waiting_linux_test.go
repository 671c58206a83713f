package leaktest

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// The goroutine that reads a connection is found, and not that of another one.
func TestWaiting(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	const n = 8
	by := map[uint64]*net.TCPConn{}
	ids := make(chan uint64)
	for range n {
		client, _ := ends(t, &net.Dialer{}, l)
		go func() {
			ids <- current()
			_, _ = client.Read(make([]byte, 1))
		}()
		by[<-ids] = client
	}
	idle, _ := ends(t, &net.Dialer{}, l)

	var left int
	for until := time.Now().Add(10 * time.Second); time.Now().Before(until); time.Sleep(time.Millisecond) {
		waits, _ := waiting()
		left = 0
		for id, conn := range by {
			s := lookFor(t, conn, func(*socket) bool { return true })
			found := waits[s.fds[0]]
			switch {
			case len(found) == 0:
				left++ // it does not wait yet
			case len(found) > 1 || found[0].id != id:
				t.Fatalf("goroutines %v wait on the connection of goroutine %d", found, id)
			case !strings.HasSuffix(found[0].creator, "leaktest.TestWaiting"):
				t.Fatalf("goroutine %d was started by %s", id, found[0].creator)
			}
		}
		if s := lookFor(t, idle, func(*socket) bool { return true }); len(waits[s.fds[0]]) != 0 {
			t.Fatalf("goroutines %v wait on a connection that nobody reads", waits[s.fds[0]])
		}
		if left == 0 {
			return
		}
	}
	t.Errorf("%d of %d goroutines were not found", left, n)
}

func TestParsePolls(t *testing.T) {
	const text = `pos:	0
flags:	02000002
mnt_id:	15
ino:	2058
tfd:        4 events: 8000201d data: ffffffff8a4b0001  pos:0 ino:80a sdev:f
tfd:       11 events: 8000201d data:     7f35c8a4b8001  pos:0 ino:1fd3 sdev:8
tfd: x events: 1 data: 1
tfd: 5 events: 1 data: xyz
`
	if got, want := fmt.Sprint(parsePolls([]byte(text))), fmt.Sprint([]poll{{4, 0xffffffff8a4b0001}, {11, 0x7f35c8a4b8001}}); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestCarries(t *testing.T) {
	const pointer = 0x7f35c8a4b800
	for _, test := range []struct {
		data uint64
		want bool
	}{
		{pointer << 15, true},
		{pointer<<15 | 0xffffff, true}, // the tag
		{pointer << 16, true},
		{pointer<<16 | 0x7ffff, true},
		{(pointer + 512) << 15, false},
		{(pointer - 512) << 15, false},
		{pointer, false},
		{0, false},
	} {
		if got := carries(test.data, pointer); got != test.want {
			t.Errorf("%#x carries %#x: %v, want %v", test.data, pointer, got, test.want)
		}
	}
}

func FuzzPolls(f *testing.F) {
	f.Add([]byte("tfd: 4 events: 8000201d data: ffffffff8a4b0001 pos:0 ino:80a sdev:f\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, p := range parsePolls(text) {
			if again := parsePolls(fmt.Appendf(nil, "tfd: %d events: 0 data: %x", p.fd, p.data)); len(again) != 1 || again[0] != p {
				t.Errorf("%+v is read as %+v", p, again)
			}
		}
	})
}
