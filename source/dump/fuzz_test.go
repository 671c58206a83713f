package dump

import (
	"bytes"
	"errors"
	"net/netip"
	"reflect"
	"testing"

	"github.com/tcpvet/tcpvet"
)

// checkText holds what has to be true of any text.
func checkText(t *testing.T, text []byte) {
	strict, err := Parse(bytes.NewReader(text), Options{})
	lenient, lenientErr := Parse(bytes.NewReader(text), Options{Lenient: true})
	if err != nil {
		var e *LineError
		switch {
		case errors.As(err, &e):
			if e.Line < 1 || e.Line > 1+bytes.Count(text, []byte{'\n'}) {
				t.Fatalf("the error is about line %d, which is not there: %v", e.Line, err)
			}
		case err != ErrEmpty && err != ErrUnrecognised && err != errNotTCP && err != errMaybeUDP && !errors.Is(err, errUTF16):
			t.Fatalf("the error is of no known kind: %v", err)
		}
		if lenientErr == nil && len(collect(t, lenient).gaps) == 0 {
			t.Fatalf("%v was passed over, and no gap says so", err)
		}
		if lenientErr == nil {
			checkSockets(t, lenient, text)
		}
		return
	}
	if lenientErr != nil {
		t.Fatalf("strictly it is read, leniently it is not: %v", lenientErr)
	}
	want := checkSockets(t, strict, text)
	if got := checkSockets(t, lenient, text); !reflect.DeepEqual(got, want) {
		t.Fatal("strictly and leniently the same text reads differently")
	}
	if bytes.IndexByte(text, '\r') >= 0 {
		return
	}
	crlf, err := Parse(bytes.NewReader(bytes.ReplaceAll(text, []byte{'\n'}, []byte("\r\n"))), Options{})
	if err != nil {
		t.Fatalf("with the newlines of Windows it is not read: %v", err)
	}
	if !reflect.DeepEqual(checkSockets(t, crlf, text), want) {
		t.Fatal("with the newlines of Windows it reads differently")
	}
}

func checkSockets(t *testing.T, d *Dump, text []byte) []tcpvet.Socket {
	c := collect(t, d)
	if len(c.sockets) > 1+bytes.Count(text, []byte{'\n'}) {
		t.Fatal("there are more sockets than lines")
	}
	for i := range c.sockets {
		s := &c.sockets[i]
		if !s.Local.IsValid() || !s.Remote.IsValid() || s.Local.Addr().Is4() != s.Remote.Addr().Is4() {
			t.Fatalf("%v and %v are no two ends", s.Local, s.Remote)
		}
		if !tcpvet.AllStates.Has(s.State) || s.Timer.Expires < 0 {
			t.Fatalf("%v is in %v, with timer %v", s.Local, s.State, s.Timer)
		}
	}
	return c.sockets
}

func fuzz(f *testing.F, header string) {
	f.Fuzz(func(t *testing.T, text []byte) { checkText(t, append([]byte(header), text...)) })
}

func FuzzSS(f *testing.F) {
	fuzz(f, "State Recv-Q Send-Q Local Address:Port Peer Address:Port Process\n")
}

func FuzzNetstat(f *testing.F) { fuzz(f, "Active Internet connections (servers and established)\n") }

func FuzzLsof(f *testing.F) { fuzz(f, "COMMAND PID USER FD TYPE DEVICE SIZE/OFF NODE NAME\n") }

func FuzzNetTCP(f *testing.F) {
	fuzz(f, "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n")
}

// FuzzRecognise begins with nothing known.
func FuzzRecognise(f *testing.F) { fuzz(f, "") }

// FuzzEndpoint compares the addresses with those of net/netip.
func FuzzEndpoint(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		var e endpoint
		_ = e.parse([]byte(text))

		want, err := netip.ParseAddr(text)
		if want.Zone() != "" {
			return
		}
		var v4 [4]byte
		if ok := parseIPv4([]byte(text), &v4); ok != (err == nil && want.Is4()) || ok && v4 != want.As4() {
			t.Errorf("%q is %v, %v as IPv4, and %v, %v for netip", text, v4, ok, want, err)
		}
		var v6 [16]byte
		if ok := parseIPv6([]byte(text), &v6); ok != (err == nil && want.Is6()) || ok && v6 != want.As16() {
			t.Errorf("%q is %v, %v as IPv6, and %v, %v for netip", text, v6, ok, want, err)
		}
		if err != nil {
			return
		}
		at := netip.AddrPortFrom(want, 443).String()
		if err := e.parse([]byte(at)); err != nil || addrOf(&e.addr, e.v4) != want || e.port != 443 {
			t.Errorf("%q is %+v, %v", at, e, err)
		}
	})
}
