package rules_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/rules/ruletest"
)

// deafen lets the socket lose whatever comes to it, as if the way dropped it.
func (s stage) deafen(fd int) {
	s.Helper()
	nothing := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &nothing}); err != nil {
		s.Fatal(err)
	}
}

// eventually waits for what a loaded machine may take long to do.
func (s stage) eventually(what string, done func() bool) {
	s.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.Fatalf("a minute went by before %s", what)
		}
	}
}

// TestRootUnansweredEvidence stages ends that hear nothing any more, and holds the
// findings about those who call them to what ss counts.
func TestRootUnansweredEvidence(t *testing.T) {
	kerneltest.Netns(t)
	s := stage{t}
	const each = 12
	server := s.listen("127.0.0.1:8080", 64)
	for range each {
		client := s.dial("", "127.0.0.1:8080")
		s.deafen(s.accept(server))
		if _, err := unix.Write(client, []byte("request")); err != nil {
			t.Fatal(err)
		}
	}
	last := s.listen("127.0.0.1:8081", 64)
	var closing []int
	for range each {
		closing = append(closing, s.dial("", "127.0.0.1:8081"))
		peer := s.accept(last)
		if err := unix.Shutdown(peer, unix.SHUT_WR); err != nil {
			t.Fatal(err)
		}
		s.deafen(peer)
	}
	s.eventually("every FIN had come", func() bool {
		return s.sh("ss -Htn state close-wait dst 127.0.0.1:8081 | wc -l") == "12"
	})
	for _, fd := range closing {
		s.close(fd)
	}
	s.deafen(s.listen("127.0.0.1:8082", 64))
	s.listen("127.0.0.1:8083", 64)
	for _, to := range []string{"127.0.0.1:8082", "127.0.0.1:8083"} {
		for range each {
			addr, family := s.sockaddr(to)
			fd := s.open(family)
			s.deafen(fd)
			if err := unix.SetNonblock(fd, true); err != nil {
				t.Fatal(err)
			}
			if err := unix.Connect(fd, addr); !errors.Is(err, unix.EINPROGRESS) {
				t.Fatalf("connect to %s: %v", to, err)
			}
		}
	}

	want := []struct{ rule, service, number string }{
		{"half-open", "127.0.0.1:8080", "unacknowledged_sockets"},
		{"last-ack-pileup", "127.0.0.1:8081", "unacknowledged_sockets"},
		{"syn-sent-pileup", "127.0.0.1:8082", "unanswered_sockets"},
		{"syn-sent-pileup", "127.0.0.1:8083", "unanswered_sockets"},
		{"syn-recv-pileup", "127.0.0.1:8083", "sent_again_handshakes"},
	}
	var findings []tcpvet.Finding
	s.eventually("each had been sent again twice", func() bool {
		findings = s.diagnose()
		for _, w := range want {
			if f := find(findings, w.rule, w.service); f == nil || number(f, w.number) != each {
				return false
			}
		}
		return true
	})
	for _, w := range want {
		f := find(findings, w.rule, w.service)
		if len(f.Evidence) == 0 {
			t.Errorf("no evidence for\n%s", ruletest.Text(*f))
		}
		for _, e := range f.Evidence {
			if got := s.sh(e.Check); got != strings.ReplaceAll(e.Got, ",", "") || got != "12" {
				t.Errorf("%s: %s\nprints %s, the finding says %s", w.rule, e.Check, got, e.Got)
			}
		}
	}
	if f := find(findings, "half-open", "127.0.0.1:8080"); f.Severity != tcpvet.Warning {
		t.Errorf("12 of 12 are no crowd:\n%s", ruletest.Text(*f))
	}
}
