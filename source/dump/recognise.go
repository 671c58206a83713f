package dump

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/source/procfs"
)

// kind is a command whose output can be read.
type kind uint8

const (
	kindNone kind = iota
	kindSS
	kindNetstat
	kindLsof
	kindNetTCP
)

func (k kind) String() string {
	return [...]string{"text", "ss", "netstat", "lsof", "/proc/net/tcp"}[k]
}

// paste says what can be read.
const paste = "paste the output of ss -tan (-p adds processes, -o timers, -e inodes, -i tcp_info), " +
	"netstat -tanW, lsof -nP -iTCP, or cat /proc/net/tcp /proc/net/tcp6"

var (
	// ErrEmpty says that the text holds nothing but blank lines.
	ErrEmpty = errors.New("recognise dump: the text is empty; " + paste)

	// ErrUnrecognised says that no line of the text is of a kind that can
	// be read.
	ErrUnrecognised = errors.New("recognise dump: this is no text of ss, netstat, lsof or /proc/net/tcp; " + paste)
)

// fatal is an error of a line that holds for the whole text: leaving the line
// out would not help.
type fatal struct{ error }

var (
	errNoState = fatal{errors.New("there is no State column: ss leaves it out where it was asked for one state; " +
		"paste ss -tan, or put the command with its state above the text")}
	errUDP      = fatal{errors.New("these are UDP sockets; paste cat /proc/net/tcp /proc/net/tcp6")}
	errNotTCP   = fatal{errors.New("the command above the text does not show TCP sockets; paste the output of ss -tan")}
	errMaybeUDP = fatal{errors.New("all of its sockets are in UNCONN or ESTAB, so it may be of UDP (ss -uan) as well as of TCP; " +
		`put the command above the text if it was of TCP, as in "$ ss -tan"`)}
	errBSD = fatal{errors.New("this is netstat of BSD or macOS, which cuts addresses; paste lsof -nP -iTCP")}
)

// recognise tells by one line alone what it comes from. header is true for a
// line that names columns or begins a section.
func recognise(b []byte) (k kind, header bool) {
	w := words{rest: b}
	first := w.next()
	switch {
	case procfs.IsNetTCPHeader(b):
		return kindNetTCP, true
	case ssHeader(b):
		return kindSS, true
	case bytes.HasPrefix(b, []byte("Active Internet connections")),
		string(first) == "Proto" && bytes.Contains(b, []byte("Recv-Q")):
		return kindNetstat, true
	case lsofHeader(b):
		return kindLsof, true
	}

	w = words{rest: b}
	w.next()
	second, third, fourth := w.next(), w.next(), w.next()
	_, isState := stateOf(first)
	_, thenState := stateOf(second)
	_, isTCP := netstatProto(first)
	switch {
	case isState && digits(second) && digits(third):
		return kindSS, false
	case netid(first) && thenState && digits(third):
		return kindSS, false
	case digits(first) && digits(second) && lastByte(third, ':') > 0 && lastByte(fourth, ':') > 0:
		return kindSS, false
	case (isTCP || otherProto(first)) && digits(second) && digits(third):
		return kindNetstat, false
	case len(first) > 1 && first[len(first)-1] == ':' && digits(first[:len(first)-1]) && netTCPAddress(second):
		return kindNetTCP, false
	case lsofSocket(b):
		return kindLsof, false
	}
	return kindNone, false
}

// ssHeader tells the line that names the columns of ss. It may glue two of them:
// "Peer Address:PortProcess".
func ssHeader(b []byte) bool {
	return bytes.Contains(b, []byte("Recv-Q")) && bytes.Contains(b, []byte("Local Address:Port"))
}

func netTCPAddress(b []byte) bool {
	return (len(b) == 8+5 || len(b) == 32+5) && b[len(b)-5] == ':'
}

// stateOf knows the states as ss and netstat print them, and any other
// spelling that holds no lower case, which words of a sentence do.
func stateOf(b []byte) (tcpvet.State, bool) {
	if len(b) < 4 || len(b) > 14 || b[0] < 'A' || b[0] > 'U' {
		return 0, false
	}
	s, ok := stateWords[string(b)]
	return s, ok
}

var stateWords = func() map[string]tcpvet.State {
	m := make(map[string]tcpvet.State)
	for _, s := range tcpvet.States {
		m[s.String()] = s
	}
	for _, word := range []string{
		"ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE", "CLOSE_WAIT", "LAST_ACK",
		"CLOSED", "FIN_WAIT_1", "FIN_WAIT_2", "SYN_RCVD", "BOUND_INACTIVE", "SYN_RECEIVED",
	} {
		s, err := tcpvet.ParseState(word)
		if err != nil {
			panic(fmt.Sprintf("tcpvet lost the state %s", word))
		}
		m[word] = s
	}
	return m
}()
