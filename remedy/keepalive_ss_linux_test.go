package remedy

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// shown is a socket as ss(8) shows it.
type shown struct {
	state  string
	inode  uint64
	cookie uint64
	timer  string // "timer:(keepalive,29sec,0)", "" where none of keepalive runs
}

var (
	shownTimer = regexp.MustCompile(`timer:\(keepalive\S*`)
	shownInode = regexp.MustCompile(` ino:(\d+)`)
	shownSK    = regexp.MustCompile(` sk:([0-9a-f]+)`)
)

// shownBySS gives the sockets in the namespace of the test. It does not ask ss for
// processes, which takes it seconds on a host with many descriptors.
func shownBySS(t *testing.T) (all []shown) {
	t.Helper()
	out, err := exec.Command(kerneltest.Tool(t, "ss"), "-Htaneo").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		s := shown{timer: shownTimer.FindString(line)}
		s.state, _, _ = strings.Cut(line, " ")
		if m := shownInode.FindStringSubmatch(line); m != nil {
			s.inode, _ = strconv.ParseUint(m[1], 10, 64)
		}
		m := shownSK.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("ss shows no cookie: %q", line)
		}
		if s.cookie, err = strconv.ParseUint(m[1], 16, 64); err != nil {
			t.Fatalf("ss: %q: %v", line, err)
		}
		all = append(all, s)
	}
	return all
}

// heldBySS gives those that a process holds, but its listeners.
func heldBySS(t *testing.T, pid int32) (held []shown) {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	inodes := make(map[string]bool)
	for _, e := range entries {
		link, _ := os.Readlink(dir + "/" + e.Name())
		inodes[link] = true
	}
	for _, s := range shownBySS(t) {
		if s.state != "LISTEN" && inodes[fmt.Sprintf("socket:[%d]", s.inode)] {
			held = append(held, s)
		}
	}
	return held
}

// keepaliveBySS counts those that a process holds, and of these the ones with a running
// keepalive timer.
func keepaliveBySS(t *testing.T, pid int32) (running, all int) {
	t.Helper()
	for _, s := range heldBySS(t, pid) {
		if all++; s.timer != "" {
			running++
		}
	}
	return running, all
}

// cookiesBySS gives the keepalive timers by cookie.
func cookiesBySS(t *testing.T) map[uint64]string {
	t.Helper()
	now := make(map[uint64]string)
	for _, s := range shownBySS(t) {
		now[s.cookie] = s.timer
	}
	return now
}

// countBySS counts the sockets in a state.
func countBySS(t *testing.T, state tcpvet.State) (n int) {
	t.Helper()
	for _, s := range shownBySS(t) {
		if s.state == state.String() {
			n++
		}
	}
	return n
}
