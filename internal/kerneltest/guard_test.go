package kerneltest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet/internal/kernel"
)

// verdict runs a guard against a stand-in for the test and tells what became of
// it: "passes", "skips: reason" or "fails: reason".
func verdict(guard func(testing.TB)) string {
	tb := &standIn{said: "passes"}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil && p != tb {
				panic(p)
			}
		}()
		guard(tb)
	}()
	<-done
	return tb.said
}

type standIn struct {
	testing.TB
	said string
}

func (s *standIn) Helper()                   {}
func (s *standIn) Skip(a ...any)             { s.end("skips: " + fmt.Sprint(a...)) }
func (s *standIn) Skipf(f string, a ...any)  { s.end("skips: " + fmt.Sprintf(f, a...)) }
func (s *standIn) Fatal(a ...any)            { s.end("fails: " + fmt.Sprint(a...)) }
func (s *standIn) Fatalf(f string, a ...any) { s.end("fails: " + fmt.Sprintf(f, a...)) }
func (s *standIn) end(said string)           { s.said = said; panic(s) }

func TestNeed(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		want string
	}{
		{"yes", nil, "passes"},
		{"no", &kernel.Unsupported{Feature: "wings", Err: os.ErrInvalid}, "skips: kernel lacks wings: "},
		{"no, wrapped", fmt.Errorf("look: %w", &kernel.Unsupported{Feature: "wings"}), "skips: kernel lacks wings: "},
		{"no, and too old", &kernel.Unsupported{Feature: "wings", Since: "999.0"}, "skips: kernel lacks wings: "},
		{"no, yet new enough", &kernel.Unsupported{Feature: "wings", Since: "2.6"}, "fails: find wings: kernel lacks it"},
		{"could not tell", os.ErrPermission, "fails: could not tell"},
		{"unsupported without a feature", errors.ErrUnsupported, "fails: could not tell"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := verdict(func(tb testing.TB) { Need(tb, func() error { return test.err }) })
			if !strings.HasPrefix(got, test.want) {
				t.Errorf("got %q, want %q…", got, test.want)
			}
		})
	}
}

func TestOlder(t *testing.T) {
	for _, test := range []struct {
		release, since string
		want           bool
	}{
		{"6.1.0-18-amd64", "6.8", true},
		{"6.8.0", "6.8", false},
		{"6.18.44-fc", "6.8", false}, // not by letters
		{"5.15.0", "6.1", true},
		{"7.0-rc1", "6.8", false},
		{"unknown", "6.8", true},
	} {
		if got := older(test.release, test.since); got != test.want {
			t.Errorf("older(%q, %q) = %v", test.release, test.since, got)
		}
	}
}

func TestRoot(t *testing.T) {
	want := "passes"
	if os.Geteuid() != 0 {
		want = "skips: needs root"
	}
	if got := verdict(Root); !strings.HasPrefix(got, want) {
		t.Errorf("got %q, want %q…", got, want)
	}
}

func TestTool(t *testing.T) {
	path := Tool(t, "sh")
	if err := exec.Command(path, "-c", "true").Run(); err != nil {
		t.Error(err)
	}
	want := "fails: find program no-such-program"
	if os.Geteuid() != 0 {
		want = "skips: needs program no-such-program"
	}
	if got := verdict(func(tb testing.TB) { Tool(tb, "no-such-program") }); !strings.HasPrefix(got, want) {
		t.Errorf("got %q, want %q…", got, want)
	}
}

// What a guard tells people to install, "make test" installs.
func TestPackagesAreListed(t *testing.T) {
	text, err := os.ReadFile("../../packages.txt")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		listed[strings.TrimSpace(line)] = true
	}
	for program, name := range packages {
		if !listed[name] {
			t.Errorf("%s: package %s is not in packages.txt", program, name)
		}
	}
}

func TestSoakGuard(t *testing.T) {
	for value, want := range map[string]string{"": "skips: needs time", "soon": "fails: read TCPVET_SOAK", "-1s": "fails: ", "1m30s": "passes"} {
		t.Setenv("TCPVET_SOAK", value)
		var d time.Duration
		got := verdict(func(tb testing.TB) { d = Soak(tb) })
		if !strings.HasPrefix(got, want) || got == "passes" && d != 90*time.Second {
			t.Errorf("TCPVET_SOAK=%q: %q, %v; want %q…", value, got, d, want)
		}
	}
}
