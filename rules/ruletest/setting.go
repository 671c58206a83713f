package ruletest

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/source/fold"
)

// setting is what a fixture says of the host at one look.
type setting struct {
	file      string
	netns     tcpvet.Netns
	processes map[int32]tcpvet.ProcessInfo
	limited   bool // a process has its descriptors told
	tableless bool // and its sockets in no table
	hosts     bool // a process has told what localhost means to it
	host      tcpvet.Host
	gaps      []tcpvet.Gap
	patience  time.Duration
	before    time.Duration
	limits    []tcpvet.PathLimit
	bounds    fold.Options
	census    tcpvet.Census
}

func (s *setting) read(t testing.TB, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if err := s.line(line); err != nil {
			t.Fatalf("%s: %q: %v", s.file, line, err)
		}
	}
}

func (s *setting) line(line string) error {
	word, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(rest), "="))
	var err error
	switch word {
	case "ports":
		s.netns.Ports = new(tcpvet.Ports)
		s.netns.Ports.Low, s.netns.Ports.High, err = span(rest)
	case "reserved":
		for part := range strings.SplitSeq(rest, ",") {
			low, high, err := span(part)
			if err != nil {
				return err
			}
			s.netns.Ports.Reserved.Add(low, high)
		}
	case "address":
		var p netip.Prefix
		text, down := strings.CutSuffix(rest, " down")
		p, err = netip.ParsePrefix(text)
		s.netns.Addresses = append(s.netns.Addresses, tcpvet.Address{Prefix: p, Up: !down})
	case "host":
		counter, value, _ := strings.Cut(rest, " ")
		if s.host.Counters == nil {
			s.host.Counters = make(map[string]uint64)
		}
		s.host.Counters[counter], err = strconv.ParseUint(value, 10, 64)
	case "file":
		err = s.boot(rest)
	case "patience":
		s.patience, err = time.ParseDuration(rest)
	case "before":
		s.before, err = time.ParseDuration(rest)
	case "path-idle":
		err = s.pathIdle(rest)
	case "measured":
		err = s.measured(rest)
	case "groups":
		s.bounds.Groups, err = strconv.Atoi(rest)
	case "tuples":
		s.bounds.Tuples, err = strconv.Atoi(rest)
	case "netns":
		s.netns.ID, s.netns.Names = 4026532177, []string{rest}
	case "process":
		err = s.process(rest)
	case "gap":
		what, needs, _ := strings.Cut(rest, " needs=")
		s.gaps = append(s.gaps, tcpvet.Gap{What: what, Needs: needs, Err: "permission denied"})
	default:
		if strings.Contains(word, ".") && !strings.HasPrefix(word, "sockstat.") {
			s.netns.Sysctls[word] = rest
			return nil
		}
		s.netns.Counters[word], err = strconv.ParseUint(rest, 10, 64)
	}
	return err
}

func (s *setting) pathIdle(text string) error {
	var l tcpvet.PathLimit
	peers, idle, narrowed := strings.Cut(text, "=")
	if !narrowed {
		idle = text
	}
	var err error
	if l.Idle, err = time.ParseDuration(idle); err == nil && narrowed {
		l.Remote, err = netip.ParsePrefix(peers)
	}
	s.limits = append(s.limits, l)
	return err
}

// measured reads "path 10.0.3.9:80 2m..3m 2026-11-29T17:02:00Z", or the same of a server.
func (s *setting) measured(text string) error {
	var kind, at, between, when string
	if _, err := fmt.Sscan(text, &kind, &at, &between, &when); err != nil {
		return err
	}
	remote, err := netip.ParseAddrPort(at)
	if err != nil {
		return err
	}
	low, high, _ := strings.Cut(between, "..")
	l := tcpvet.PathLimit{Remote: netip.PrefixFrom(remote.Addr(), remote.Addr().BitLen()), Port: remote.Port()}
	if kind == "server" {
		l.Kind = tcpvet.OfServer
	}
	if l.Safe, err = time.ParseDuration(low); err == nil {
		l.Idle, err = time.ParseDuration(high)
	}
	if err == nil {
		l.Measured, err = time.Parse(time.RFC3339, when)
	}
	s.limits = append(s.limits, l)
	return err
}

// boot reads "FILE:LINE NAME = VALUE".
func (s *setting) boot(text string) error {
	place, line, _ := strings.Cut(text, " ")
	file, number, ok1 := strings.Cut(place, ":")
	name, value, ok2 := strings.Cut(line, " = ")
	if !ok1 || !ok2 {
		return fmt.Errorf("no line of a file: %q", text)
	}
	n, err := strconv.Atoi(number)
	s.host.Settings = append(s.host.Settings, tcpvet.Setting{File: file, Line: n, Name: name, Value: value})
	return err
}

func span(text string) (low, high uint16, err error) {
	a, b, two := strings.Cut(strings.TrimSpace(text), "-")
	if !two {
		b = a
	}
	l, err1 := strconv.ParseUint(a, 10, 16)
	h, err2 := strconv.ParseUint(b, 10, 16)
	if err1 != nil || err2 != nil || h < l {
		return 0, 0, fmt.Errorf("no range of ports: %q", text)
	}
	return uint16(l), uint16(h), nil
}

var field = regexp.MustCompile(`(\w+)=("[^"]*"|\S+)`)

func (s *setting) process(text string) error {
	word, rest, _ := strings.Cut(text, " ")
	pid, err := strconv.ParseInt(word, 10, 32)
	if err != nil {
		return err
	}
	var i tcpvet.ProcessInfo
	for _, m := range field.FindAllStringSubmatch(rest, -1) {
		value := strings.Trim(m[2], `"`)
		switch m[1] {
		case "exe":
			i.Exe = value
		case "args":
			i.Args = strings.Fields(value)
		case "unit":
			i.Unit = value
		case "localhost":
			i.Localhost = []netip.Addr{}
			for addr := range strings.SplitSeq(value, ",") {
				var a netip.Addr
				a, err = netip.ParseAddr(addr)
				i.Localhost = append(i.Localhost, a)
			}
			s.hosts = true
		case "container":
			i.Container = &tcpvet.Container{ID: strings.Repeat("0", 64), Name: value}
		case "fds":
			_, err = fmt.Sscanf(value, "%d/%d", &i.Descriptors, &i.DescriptorLimit)
			s.limited = true
		case "comm":
			i.Comm = value
		case "tableless":
			i.Tableless = new(tcpvet.Tableless)
			_, err = fmt.Sscanf(value, "%d/%d/%d/ino:%d", &i.Tableless.Used, &i.Tableless.Quiet, &i.Tableless.Unasked, &i.Tableless.Inode)
			s.tableless = true
		case "sockets":
			i.Sockets, err = strconv.ParseUint(value, 10, 64)
		default:
			err = fmt.Errorf("unknown field %q", m[1])
		}
		if err != nil {
			return err
		}
	}
	if s.processes == nil {
		s.processes = make(map[int32]tcpvet.ProcessInfo)
	}
	s.processes[int32(pid)] = i
	return nil
}
