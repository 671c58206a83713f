package main_test

import (
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// thirdPartyInit is how long the packages of others may take before main. What
// a command costs that looks at 100 sockets is mostly its start, and some
// libraries spend milliseconds building tables that it never reads.
const thirdPartyInit = time.Millisecond

// The Go runtime's own trace tells each package's time (GODEBUG=inittrace,
// package runtime). The best of many runs counts: the rest is other load. Where
// the machine is quiet the first is good enough.
func TestThirdPartyInit(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "tcpvet")
	if out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	const runs = 50
	best := time.Duration(math.MaxInt64)
	var costs string
	for range runs {
		cmd := exec.Command(bin, "--help")
		cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
		var trace strings.Builder
		cmd.Stderr = &trace
		if err := cmd.Run(); err != nil {
			t.Fatalf("run: %v\n%s", err, trace.String())
		}
		total, lines, packages := initCost(trace.String())
		if packages < 10 {
			t.Fatalf("%d packages in the trace:\n%s", packages, trace.String())
		}
		if total < best {
			best, costs = total, lines
		}
		if best <= thirdPartyInit {
			return
		}
	}
	t.Errorf("packages of others take %v before main, at most %v is wanted:\n%s", best, thirdPartyInit, costs)
}

// initCost sums the clock times of packages that are neither the standard
// library's nor ours, and gives their lines.
func initCost(trace string) (total time.Duration, lines string, packages int) {
	for line := range strings.Lines(trace) {
		// init internal/poll @0.30 ms, 0.004 ms clock, 40 bytes, 2 allocs
		f := strings.Fields(line)
		if len(f) < 7 || f[0] != "init" || f[6] != "clock," {
			continue
		}
		packages++
		first, _, _ := strings.Cut(f[1], "/")
		if !strings.Contains(first, ".") || f[1] == ours || strings.HasPrefix(f[1], ours+"/") {
			continue
		}
		ms, err := strconv.ParseFloat(f[4], 64)
		if err != nil {
			continue
		}
		total += time.Duration(ms * float64(time.Millisecond))
		lines += line
	}
	return total, lines, packages
}

const ours = "github.com/tcpvet/tcpvet"

// The format is the runtime's (runtime/proc.go, doInit1), the sum arithmetic.
func TestInitCost(t *testing.T) {
	total, lines, packages := initCost(`init internal/bytealg @0.006 ms, 0 ms clock, 0 bytes, 0 allocs
init github.com/tcpvet/tcpvet @2.0 ms, 7 ms clock, 82328 bytes, 62 allocs
init github.com/tcpvet/tcpvet/filter @2.2 ms, 7 ms clock, 4152 bytes, 28 allocs
init vendor/golang.org/x/net/dns/dnsmessage @1.9 ms, 7 ms clock, 768 bytes, 6 allocs
init golang.org/x/sys/unix @1.8 ms, 0.010 ms clock, 48 bytes, 1 allocs
init github.com/tcpvet/tcpvetother @2.9 ms, 1.5 ms clock, 856 bytes, 12 allocs
tcpvet: some other line
`)
	if want := 1510 * time.Microsecond; total != want || packages != 6 || strings.Count(lines, "\n") != 2 {
		t.Errorf("%v, %d packages, lines\n%s\nwant %v, 6 and 2 lines", total, packages, lines, want)
	}
}
