package procfs

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// Others' processes are one gap with their number, and one's own are seen.
func TestRootScanHoldersAsNobody(t *testing.T) {
	kerneltest.Root(t)
	const nobody = 65534
	_, line := play(t, "scan", func(c *exec.Cmd) {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	})
	var got struct {
		Gaps      []tcpvet.Gap
		Processes int
	}
	if err := json.Unmarshal([]byte(line), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Gaps) != 1 {
		t.Fatalf("%d gaps, want all folded into one: %+v", len(got.Gaps), got.Gaps)
	}
	g := got.Gaps[0]
	// This test's process is another user's, at the least.
	if g.What != "holders" || g.Needs != "root" || g.Count < 1 || g.Count >= got.Processes || g.Err == "" {
		t.Errorf("gap %+v of %d processes", g, got.Processes)
	}
}

// With hidepid=1 others may not be read, which one gap counts. With hidepid=2
// they do not even show, which no count can tell: the gap says why.
func TestRootScanHoldersHidden(t *testing.T) {
	kerneltest.Root(t)
	for hidepid, want := range map[string]tcpvet.Gap{
		"0": {What: "holders", Err: "read the descriptors of other processes: permission denied", Needs: "root", Count: 1},
		"1": {What: "holders", Err: "read the descriptors of other processes: permission denied", Needs: "root", Count: 1},
		"2": {What: "holders", Err: "list processes: /proc is mounted with hidepid=", Needs: "root"},
	} {
		t.Run("hidepid="+hidepid, func(t *testing.T) {
			_, line := play(t, "hidden", func(c *exec.Cmd) {
				c.Env = append(c.Env, "HIDEPID="+hidepid)
				c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
			})
			var got struct{ Gaps []tcpvet.Gap }
			if err := json.Unmarshal([]byte(line), &got); err != nil {
				t.Fatal(err)
			}
			if len(got.Gaps) != 1 {
				t.Fatalf("gaps %+v, want one", got.Gaps)
			}
			g := got.Gaps[0]
			if !strings.HasPrefix(g.Err, want.Err) || g.What != want.What || g.Needs != want.Needs || g.Count != want.Count {
				t.Errorf("gap %+v, want %+v", g, want)
			}
		})
	}
}

// A process that hidepid hides has not ended.
func TestRootProcessHidden(t *testing.T) {
	kerneltest.Root(t)
	var said map[string][]bool
	kerneltest.Play(t, "unread", &said, func(c *exec.Cmd) {
		c.Env = append(c.Env, "HIDEPID=2")
		c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
	})
	for name, want := range map[string][]bool{
		"other":   {true, false, true, false},
		"none":    {false, true, false, true},
		"special": {false, true, false, true},
	} {
		if got := said[name]; !slices.Equal(got, want) {
			t.Errorf("%s is hidden, ended: %v, want %v", name, got, want)
		}
	}
}
