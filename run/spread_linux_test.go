package run_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// crowd opens n connections to itself and tells the idle time of each; closes them, and
// tells that of one more.
const crowd = `
import socket, json
l = socket.create_server(("127.0.0.1", 0), backlog=4096)
def one():
    c = socket.create_connection(l.getsockname()); a, _ = l.accept()
    return c, a
def idle(s): return s.getsockopt(6, 4) if s.getsockopt(1, 9) else 0
held = [one() for _ in range(%d)]
idles = [idle(s) for pair in held for s in pair]
for c, a in held: c.close(); a.close()
held = None
last = one()
print(json.dumps({"Idles": idles, "Last": idle(last[0])}))
`

// Of many sockets that live at once those beyond 500 get idle times from a half of what
// was asked for, so that their probes do not come all at once; few get what was asked
// for, and so do those that come when most have ended.
func TestRootManyLieApart(t *testing.T) {
	s := newStage(t)
	py := kerneltest.Tool(t, "python3")
	out, say, status := s.play(order{Args: []string{py, "-c", fmt.Sprintf(crowd, 1500)}, Timers: timers})
	if status != 0 || say.Err != "" {
		t.Fatalf("status %d, %s", status, say.Err)
	}
	var got struct {
		Idles []int
		Last  int
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || len(got.Idles) != 3000 {
		t.Fatalf("%v: %.200s", err, out)
	}
	had := map[int]int{}
	for i, idle := range got.Idles {
		if i < 500 && idle != 31 || idle < 16 || idle > 31 {
			t.Fatalf("socket %d: idle %d", i, idle)
		}
		if i >= 500 {
			had[idle]++
		}
	}
	// 16 idle times, 2,500 sockets.
	for idle, n := range had {
		if n < 2500/16/2 || n > 2500/16*2 {
			t.Errorf("%d sockets with %d s: %v", n, idle, had)
		}
	}
	if len(had) != 16 || got.Last != 31 {
		t.Errorf("%d idle times, and %d s when the others have ended", len(had), got.Last)
	}
	if sum := say.Result.Summary; sum.Own != nil || sum.OwnUnnamed != 0 || sum.Refused != 0 {
		t.Errorf("summary: %+v", sum)
	}
	s.clean()
}
