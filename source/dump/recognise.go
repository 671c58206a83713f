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
	errUDP = fatal{errors.New("these are UDP sockets; paste cat /proc/net/tcp /proc/net/tcp6")}
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

// command is what stands behind a prompt.
type command struct {
	kind  kind
	all   bool // -a: every state is asked for, and nothing filters
	state tcpvet.State
	wide  bool // netstat -W
	timer bool // -o, and -e of ss
}

// prompted finds a command of a known kind in a line such as
// "root@web1:~# ss -tan". ok is true also for a prompt with another command or
// none.
func prompted(b []byte) (c command, ok bool) {
	w := words{rest: b}
	behind := b
	for i, ch := range b[:min(len(b), 120)] {
		if i > 0 && ch == ' ' && b[i-1] == ' ' {
			break // a column, not a prompt
		}
		if (ch == '$' || ch == '#' || ch == '%') && (i == len(b)-1 || b[i+1] == ' ') {
			ok, behind = true, b[i+1:]
			break
		}
	}
	w.rest = behind
	for n := 0; n < 16; n++ {
		word := w.next()
		if len(word) == 0 {
			break
		}
		base := word[lastByte(word, '/')+1:]
		switch string(base) {
		case "ss":
			c.kind = kindSS
		case "netstat":
			c.kind = kindNetstat
		case "lsof":
			c.kind = kindLsof
		case "cat":
			if !bytes.Contains(w.rest, []byte("net/tcp")) {
				return c, ok
			}
			c.kind = kindNetTCP
		default:
			if !ok {
				return c, false // without a prompt the line is the command, or is none
			}
			continue
		}
		c.arguments(w)
		return c, true
	}
	return c, ok
}

func (c *command) arguments(w words) {
	plain := true
	for {
		word := w.next()
		switch {
		case len(word) == 0:
			c.all = c.all && plain
			return
		case string(word) == "--all":
			c.all = true
		case string(word) == "--wide":
			c.wide = true
		case string(word) == "--timers", string(word) == "--options", string(word) == "--extended" && c.kind == kindSS:
			c.timer = true
		case len(word) > 1 && word[0] == '-' && word[1] != '-':
			c.all = c.all || bytes.IndexByte(word, 'a') > 0
			c.wide = c.wide || bytes.IndexByte(word, 'W') > 0
			c.timer = c.timer || bytes.IndexByte(word, 'o') > 0 || c.kind == kindSS && bytes.IndexByte(word, 'e') > 0
		case string(word) == "state":
			plain = false
			if s, err := tcpvet.ParseState(string(w.next())); err == nil && c.state == 0 {
				c.state = s
			}
		default:
			plain = false
		}
	}
}

// noise knows what the commands say beside their output, and the fences that
// hold code in Markdown.
func noise(b []byte) bool {
	for _, start := range [...]string{
		"```", "~~~",
		"RTNETLINK answers:", "Failed to find cgroup2 mount", "Failed to open cgroup2", "Cannot open netlink socket:",
		"(Not all processes could be identified", "(No info could be read for", " will not be shown, you would have to",
		"lsof: WARNING:", "      Output information may be incomplete", "netstat: no support for",
	} {
		if len(b) >= len(start) && string(b[:len(start)]) == start {
			return true
		}
	}
	return false
}
