package ruletest

import (
	"context"
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
