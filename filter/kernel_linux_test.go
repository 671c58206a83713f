package filter

import (
	"errors"
	"net/netip"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// The kernel leaves out no socket that a filter matches, and of a filter that
// it can judge it takes no other.
func TestRootBytecode(t *testing.T) {
	d, sockets, p := staged(t)
	pushed, taken := 0, 0
	compare := func(t *rapid.T, exact bool) {
		f := New(p.draw(t, 4, exact))
		if f.Bytecode() != nil {
			pushed++
		}
		if f.States() == 0 {
			return
		}
		filtered, err := d.dump(f.States(), f.Bytecode())
		if err != nil {
			t.Fatalf("%q: %v; program %x", f, err, f.Bytecode())
		}
		taken += len(filtered)
		for cookie, s := range sockets {
			_, told := filtered[cookie]
			switch {
			case f.Match(&s) && !told:
				t.Errorf("%q matches %v %v %v, which the kernel left out; program %x", f, s.State, s.Local, s.Remote, f.Bytecode())
			case !f.Match(&s) && told && exact:
				t.Errorf("%q does not match %v %v %v, which the kernel told; program %x", f, s.State, s.Local, s.Remote, f.Bytecode())
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		for range 3 {
			compare(t, true)
			compare(t, false)
		}
	})
	if pushed == 0 || taken == 0 {
		t.Errorf("%d filters had a program, %d sockets were told: nothing was compared", pushed, taken)
	}
	t.Logf("%d filters had a program, %d sockets were told", pushed, taken)
}

// The longest program is let through by the kernel's audit, and a damaged one
// is not: the audit is in force.
func TestRootBytecodeAudit(t *testing.T) {
	d, sockets, _ := staged(t)
	terms := make(Or, 1024)
	for i := range terms {
		terms[i] = Host{Prefix: netip.MustParsePrefix("fd00::1/128"), Port: uint16(i), HasPort: true}
	}
	terms[len(terms)-1] = Port{Local, Eq, 8005}
	terms[0] = Port{Local, Eq, 8001}
	f := New(terms)
	if len(f.Bytecode()) < maxProgram*9/10 {
		t.Fatalf("a program of %d bytes", len(f.Bytecode()))
	}
	filtered, err := d.dump(tcpvet.AllStates, f.Bytecode())
	if err != nil {
		t.Fatal(err)
	}
	want := 0
	for _, s := range sockets {
		if port := s.Local.Port(); port == 8001 || port == 8005 {
			want++
		}
	}
	if len(filtered) != want || want == 0 {
		t.Errorf("the kernel told %d sockets of %d", len(filtered), want)
	}

	damaged := slices.Clone(f.Bytecode())
	damaged[1]++ // no length is odd
	if _, err := d.dump(tcpvet.AllStates, damaged); !errors.Is(err, unix.EINVAL) {
		t.Errorf("a damaged program: %v, want EINVAL", err)
	}
}

// The program ss takes the same sockets by the filters that it has too.
func TestRootSS(t *testing.T) {
	ss := kerneltest.Tool(t, "ss")
	_, sockets, p := staged(t)
	// ss filters once more what the kernel told, and there takes 0.0.0.0 for a
	// prefix of ::1 and [::] for one of 0.0.0.0: it shows a socket neither for
	// "src 0.0.0.0" nor for its opposite. So these are compared alone.
	p.prefixes = slices.DeleteFunc(p.prefixes, func(x netip.Prefix) bool { return x.IsValid() && x.Addr().IsUnspecified() })
	shown := 0
	compare := func(t interface {
		Errorf(string, ...any)
		Fatalf(string, ...any)
	}, args ...string) {
		f, err := Parse(args)
		if err != nil {
			t.Fatalf("%v", err)
		}
		out, err := exec.Command(ss, append([]string{"-tanHeO"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("ss %q: %v: %s", args, err, out)
		}
		told := cookies(t, out)
		shown += len(told)
		for _, s := range sockets {
			if s.State != tcpvet.BoundInactive && f.Match(&s) != told[s.Cookie] {
				t.Errorf("%q: Match is %v for %v %v %v, ss %q has it: %v", f, f.Match(&s), s.State, s.Local, s.Remote, args, told[s.Cookie])
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		var args []string
		for range rapid.IntRange(0, 3).Draw(t, "state words") {
			args = append(args, from(t, "word", "state", "exclude", "state"), from(t, "state", ssStates...))
		}
		if f, err := Parse(args); err != nil || f.States() == 0 {
			args = nil // ss takes an empty set for its default
		}
		// As arguments of their own, and as one in quotes.
		text := ssText(p.draw(t, 3, true))
		if rapid.Bool().Draw(t, "quoted") {
			args = append(args, text)
		} else {
			args = append(args, strings.Fields(text)...)
		}
		compare(t, args...)
	})
	for _, text := range []string{
		"src 0.0.0.0/0", "src [::/0]", "dst 0.0.0.0/0:8004 or dst [::/0]:8005", "src 0.0.0.0", "src [::]", "src [::/64]:8005",
	} {
		compare(t, text)
	}
	if shown == 0 {
		t.Error("ss showed no socket: nothing was compared")
	}
	t.Logf("ss showed %d sockets", shown)
}

// cookies gives those of the sockets that ss -e has printed.
func cookies(t interface{ Fatalf(string, ...any) }, out []byte) map[uint64]bool {
	found := make(map[uint64]bool)
	for _, m := range ssCookie.FindAllSubmatch(out, -1) {
		n, err := strconv.ParseUint(string(m[1]), 16, 64)
		if err != nil {
			t.Fatalf("read cookie: %v", err)
		}
		found[n] = true
	}
	return found
}

var ssCookie = regexp.MustCompile(` sk:([0-9a-f]+)`)

var ssStates = []string{
	"established", "syn-sent", "syn-recv", "fin-wait-1", "fin-wait-2", "time-wait", "closed", "close-wait",
	"last-ack", "listening", "closing", "all", "connected", "synchronized", "bucket", "big",
}

// ssText writes a condition for ss, which wants space around parentheses and
// gives "and" and "or" the same rank.
func ssText(e Expr) string {
	switch e := e.(type) {
	case And:
		return ssJoin(e, " and ")
	case Or:
		return ssJoin(e, " or ")
	case Not:
		return "not " + ssText(e.X)
	}
	return e.String()
}

func ssJoin(parts []Expr, operator string) string {
	if len(parts) == 0 {
		if operator == " and " {
			return "src *"
		}
		return "not src *"
	}
	texts := make([]string, len(parts))
	for i, e := range parts {
		texts[i] = ssText(e)
	}
	return "( " + strings.Join(texts, operator) + " )"
}
