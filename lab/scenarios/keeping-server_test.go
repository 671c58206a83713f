package scenarios

import (
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The server closes what its client has closed, and nothing else.
func TestKeepingServerClosesTheEnded(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 77, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	port, err := localPort(fd)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Close(fd); err != nil {
		t.Fatal(err)
	}
	on := netip.AddrPortFrom(netip.MustParseAddr("127.77.0.1"), port)
	k := &keeping{}
	if _, err := k.listen(keepingOrder{On: on, Backlog: 4}); err != nil {
		t.Fatal(err)
	}
	var clients [2]int
	for i := range clients {
		var fail *failure
		if clients[i], _, fail = dial(on); fail != nil {
			t.Fatal(fail)
		}
		if err := exchange(clients[i]); err != nil {
			t.Fatal(err)
		}
	}
	defer unix.Close(clients[1])
	if err := unix.Close(clients[0]); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		got, err := k.closeEnded(struct{}{})
		if err != nil || got.Closed > 1 {
			t.Fatalf("got %+v, %v", got, err)
		}
		if got.Closed == 1 && got.Answered == len(clients) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("got %+v, want one closed of %d answered", got, len(clients))
		}
	}
	// The FIN of the other would be here already.
	if _, _, err := unix.Recvfrom(clients[1], make([]byte, 1), unix.MSG_DONTWAIT); err != unix.EAGAIN {
		t.Errorf("the connection whose client is still there: %v, want %v", err, unix.EAGAIN)
	}
}
