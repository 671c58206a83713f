package manual

import (
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// The longest silence before a probe that a recipe sets, and what a program gets
// that sets SO_KEEPALIVE alone: net.ipv4.tcp_keepalive_time.
const (
	recipeIdle = 30 * time.Second
	kernelIdle = 2 * time.Hour
)

var keepaliveTimer = regexp.MustCompile(`timer:\(keepalive,(?:(\d+)min)?(?:(\d+)sec)?`)

// wantProbes has ss tell when the sockets of a filter are probed, as soon as there
// are as many as said: at the latest after idle, and not a good deal earlier.
func wantProbes(t *testing.T, sockets int, idle time.Duration, filter ...string) {
	t.Helper()
	var out []byte
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		var err error
		if out, err = exec.Command(kerneltest.Tool(t, "ss"), append([]string{"-Htno", "state", "established"}, filter...)...).CombinedOutput(); err != nil {
			t.Fatalf("ss: %v\n%s", err, out)
		}
		timers := keepaliveTimer.FindAllSubmatch(out, -1)
		right := 0
		for _, m := range timers {
			minutes, _ := strconv.Atoi(string(m[1])) // 0 where ss names none
			seconds, _ := strconv.Atoi(string(m[2]))
			if left := time.Duration(minutes)*time.Minute + time.Duration(seconds)*time.Second; left <= idle && left > idle/2 {
				right++
			}
		}
		if len(timers) == sockets && right == sockets {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("ss tells of %d sockets with keepalive, %d of them probed after %v; want %d:\n%s", len(timers), right, idle, sockets, out)
		}
	}
}

func toPort(port int) []string   { return []string{"dport", "=", fmt.Sprint(port)} }
func fromPort(port int) []string { return []string{"sport", "=", fmt.Sprint(port)} }
