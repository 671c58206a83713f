package live

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// server answers each question by UDP with what answer makes of it, nothing for nil.
func server(t *testing.T, answer func(dnsmessage.Question) *dnsmessage.Message) netip.AddrPort {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { c.Close(); <-done })
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for {
			n, peer, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			var q dnsmessage.Message
			if q.Unpack(buf[:n]) != nil || len(q.Questions) != 1 {
				continue
			}
			m := answer(q.Questions[0])
			if m == nil {
				continue
			}
			stray := dnsmessage.Message{Header: dnsmessage.Header{ID: q.ID + 1, Response: true}, Questions: q.Questions}
			m.ID, m.Response, m.Questions = q.ID, true, q.Questions
			for _, m := range []*dnsmessage.Message{&stray, m} {
				if b, err := m.Pack(); err == nil {
					c.WriteTo(b, peer)
				}
			}
		}
	}()
	return netip.MustParseAddrPort(c.LocalAddr().String())
}

func record(q dnsmessage.Question) []dnsmessage.Resource {
	h := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: dnsmessage.ClassINET}
	if q.Type == dnsmessage.TypeA {
		return []dnsmessage.Resource{{Header: h, Body: &dnsmessage.AResource{A: [4]byte{10, 0, 0, 7}}}}
	}
	return []dnsmessage.Resource{{Header: h, Body: &dnsmessage.AAAAResource{AAAA: netip.MustParseAddr("2001:db8::7").As16()}}}
}

var both = []dnsmessage.Type{dnsmessage.TypeAAAA, dnsmessage.TypeA}

func TestLookup(t *testing.T) {
	good := server(t, func(q dnsmessage.Question) *dnsmessage.Message {
		m := new(dnsmessage.Message)
		switch q.Name.String() {
		case "web.b.test.":
			m.Answers = record(q)
		case "four.b.test.":
			if q.Type == dnsmessage.TypeA {
				m.Answers = record(q)
			}
		case "broken.b.test.":
			m.RCode = dnsmessage.RCodeServerFailure
		default:
			m.RCode = dnsmessage.RCodeNameError
		}
		return m
	})
	deaf := server(t, func(dnsmessage.Question) *dnsmessage.Message { return nil })
	r := resolver{servers: []netip.AddrPort{deaf, good}, search: []string{"a.test.", "b.test."}, ndots: 1, timeout: 200 * time.Millisecond, attempts: 100}
	found, from, err := r.lookup(t.Context(), "web", both)
	if got := texts(found); got != "2001:db8::7 10.0.0.7" || from != good || err != nil {
		t.Errorf("web: %s from %s, %v", got, from, err)
	}
	r.servers, r.timeout = []netip.AddrPort{good}, 30*time.Second
	if found, _, err := r.lookup(t.Context(), "four", both); texts(found) != "10.0.0.7" || err != nil {
		t.Errorf("four: %v, %v", found, err)
	}
	if found, _, err := r.lookup(t.Context(), "none", both); found != nil || !errors.Is(err, errNoName) {
		t.Errorf("none: %v, %v", found, err)
	}
	if found, _, err := r.lookup(t.Context(), "broken", both); found != nil || err == nil || errors.Is(err, errNoName) {
		t.Errorf("a server that fails has not said that there is no such name: %v, %v", found, err)
	}
	r = resolver{servers: []netip.AddrPort{deaf}, timeout: 50 * time.Millisecond, attempts: 1}
	if _, _, err := r.lookup(t.Context(), "web", both); err == nil || errors.Is(err, errNoName) {
		t.Errorf("a server that is silent has not said that there is no such name: %v", err)
	}
}

// What comes from a network is not trusted.
func FuzzAddresses(f *testing.F) {
	name := dnsmessage.MustNewName("web.test.")
	q := dnsmessage.Question{Name: name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}
	m := dnsmessage.Message{Header: dnsmessage.Header{Response: true}, Questions: []dnsmessage.Question{q}, Answers: record(q)}
	b, err := m.Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:20])
	f.Fuzz(func(t *testing.T, b []byte) {
		found, cut, err := addresses(b, dnsmessage.TypeA)
		if err == nil && !cut && len(found) == 0 {
			t.Error("neither an address nor an error")
		}
	})
}
