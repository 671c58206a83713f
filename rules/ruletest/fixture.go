package ruletest

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/source"
	"github.com/tcpvet/tcpvet/source/fold"
)

// taken is when each fixture's look was.
var taken = time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)

// Fixture is a case and what a rule has to say of it.
type Fixture struct {
	Name  string // the file's, without its extension
	Case  tcpvet.Case
	Cured *tcpvet.Case // nil for none
	Want  []string     // a paragraph for each finding
}

// Load reads the fixtures of a folder.
func Load(t testing.TB, dir string) []Fixture {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no fixture in %s (%v)", dir, err)
	}
	fixtures := make([]Fixture, len(files))
	for i, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		fixtures[i] = Parse(t, file, b)
	}
	return fixtures
}

// Parse reads one fixture; file is its name.
func Parse(t testing.TB, file string, b []byte) Fixture {
	t.Helper()
	f := Fixture{Name: strings.TrimSuffix(filepath.Base(file), ".txtar")}
	a := txtar.Parse(b)
	if len(strings.TrimSpace(string(a.Comment))) < 20 {
		t.Fatalf("%s: the comment does not say what the case is", file)
	}
	parts := make(map[string]string)
	for _, part := range a.Files {
		parts[part.Name] = string(part.Data)
	}
	look := func(name string) *setting {
		text, ok := parts[name+".txt"]
		if !ok {
			return nil
		}
		s := &setting{file: file + ": " + name, netns: tcpvet.Netns{Sysctls: map[string]string{}, Counters: map[string]uint64{}}}
		s.read(t, parts["settings.txt"])
		s.read(t, parts[name+".settings.txt"])
		s.census = s.look(t, repeat(text))
		return s
	}
	now, before, cured := look("now"), look("before"), look("cured")
	if now == nil {
		t.Fatalf("%s: now.txt is missing", file)
	}
	f.Case = tcpvet.Case{Now: now.census, Patience: now.patience, Limits: now.limits}
	if before != nil {
		before.census.Taken = taken.Add(-now.before)
		f.Case.Before = &before.census
	}
	if cured != nil {
		f.Cured = &tcpvet.Case{Now: cured.census, Before: f.Case.Before, Patience: cured.patience, Limits: cured.limits}
	}
	want, ok := parts["want.txt"]
	if !ok {
		t.Fatalf("%s: want.txt is missing", file)
	}
	for paragraph := range strings.SplitSeq(want, "\n\n") {
		if p := strings.TrimSpace(paragraph); p != "" {
			f.Want = append(f.Want, p)
		}
	}
	return f
}

var (
	repeated = regexp.MustCompile(`^(\d+) \* (.*)$`)
	counting = regexp.MustCompile(`\{(\d+)\+(\d*)\}`)
)

// repeat writes out the lines that stand for many.
func repeat(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		m := repeated.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil {
			b.WriteString(line)
			continue
		}
		n, _ := strconv.Atoi(m[1])
		for i := range n {
			b.WriteString(counting.ReplaceAllStringFunc(m[2], func(c string) string {
				p := counting.FindStringSubmatch(c)
				first, _ := strconv.Atoi(p[1])
				step := 1
				if p[2] != "" {
					step, _ = strconv.Atoi(p[2])
				}
				return strconv.Itoa(first + i*step)
			}))
			b.WriteByte('\n')
		}
	}
	return b.String()
}

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

// look folds the text as the command would, with the settings put in.
func (s *setting) look(t testing.TB, text string) tcpvet.Census {
	t.Helper()
	src, err := source.File(strings.NewReader(text), source.FileOptions{Ports: s.netns.Ports, Taken: taken})
	if err != nil {
		t.Fatalf("%s: %v", s.file, err)
	}
	f := fold.New(s.bounds)
	if err := src.Look(context.Background(), source.Query{}, furnished{f, s}); err != nil {
		t.Fatalf("%s: %v", s.file, err)
	}
	for pid, i := range s.processes {
		if p := (tcpvet.Process{PID: pid}); i.Comm != "" {
			i.Netns = s.netns.ID
			f.Process(p, i) // the text need not name it
		}
	}
	c := f.Census()
	c.Taken, c.Source, c.Facts, c.Whole = taken, src.Name(), src.Facts(^tcpvet.Facts(0)), true
	if len(s.netns.Sysctls) > 0 {
		c.Facts |= tcpvet.FactSysctls
	}
	if len(s.netns.Counters) > 0 {
		c.Facts |= tcpvet.FactCounters
	}
	if s.limited {
		c.Facts |= tcpvet.FactLimits
	}
	if s.tableless {
		c.Facts |= tcpvet.FactTableless
	}
	if s.netns.Addresses != nil {
		c.Facts |= tcpvet.FactAddresses
	}
	if s.hosts {
		c.Facts |= tcpvet.FactHosts
	}
	if s.host.Counters != nil {
		c.Facts |= tcpvet.FactCounters
	}
	if s.host.Settings != nil {
		c.Facts |= tcpvet.FactSysctlConf
	}
	c.Host.Counters, c.Host.Settings = s.host.Counters, s.host.Settings
	c.Gaps = append(c.Gaps, s.gaps...)
	return c
}

// furnished adds the settings to what the text tells.
type furnished struct {
	tcpvet.Observer
	s *setting
}

func (f furnished) Netns(tcpvet.Netns) { f.Observer.Netns(f.s.netns) }

func (f furnished) Process(p tcpvet.Process, told tcpvet.ProcessInfo) {
	i := f.s.processes[p.PID]
	i.Comm, i.Netns = told.Comm, f.s.netns.ID
	f.Observer.Process(p, i)
}

func (f furnished) Socket(s *tcpvet.Socket) error {
	s.Netns = f.s.netns.ID
	return f.Observer.Socket(s)
}
