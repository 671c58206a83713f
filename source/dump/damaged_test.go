package dump

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet"
)

// TestDamaged gives texts that cannot be read. Leniently, want is what is left,
// nil where nothing is: then that is an error too.
func TestDamaged(t *testing.T) {
	const good = "ESTAB 0 0 10.0.0.1:40000 10.0.0.2:80\n"
	const left = "ESTAB 10.0.0.1:40000 10.0.0.2:80 0 0"
	for _, c := range []struct {
		name, text string
		line       int
		says       string
		want       []string
		count      int // lines that the gap stands for
	}{
		{"cut in the address", good + "ESTAB 0 0 10.0.0.1:4000", 2, "address", []string{left}, 1},
		{"cut in the port", "ESTAB 0 0 10.0.0.1:40000 10.0.0.2:80   \nESTAB 0 0 10.0.0.1:40001 10.0.0.2:808", 2, "cut", []string{left}, 1},
		{"cut in the port, Windows", "ESTAB 0 0 10.0.0.1:40000 10.0.0.2:80   \r\nESTAB 0 0 10.0.0.1:40001 10.0.0.2:808", 2, "cut", []string{left}, 1},
		{"cut in the processes", good + `ESTAB 0 0 10.0.0.1:40001 10.0.0.2:80 users:(("a",pid=5,fd`, 2, "users", []string{left}, 1},
		{"cut in the timer", good + `ESTAB 0 0 10.0.0.1:40001 10.0.0.2:80 timer:(keepalive,11`, 2, "timer", []string{left}, 1},
		{"cut in tcp_info", good + "\t cwnd:10 rtt:0.1/", 2, "rtt", []string{left}, 1},
		{"queue", good + "ESTAB x 0 10.0.0.1:40001 10.0.0.2:80\n", 2, "Recv-Q", []string{left}, 1},
		{"port too high", good + "ESTAB 0 0 10.0.0.1:65536 10.0.0.2:80\n", 2, "port", []string{left}, 1},
		{"IPv4 too high", good + "ESTAB 0 0 10.0.0.256:1 10.0.0.2:80\n", 2, "address", []string{left}, 1},
		{"two families", good + "ESTAB 0 0 10.0.0.1:1 [::1]:80\n", 2, "families", []string{left}, 1},
		{"a state that is none", good + "ESTUB 0 0 10.0.0.1:1 10.0.0.2:80\n", 2, "no line", []string{left}, 1},
		{"a service's name", good + "ESTAB 0 0 10.0.0.1:1 10.0.0.2:https\nESTAB 0 0 web1:1 10.0.0.2:443\n", 2, "-n", []string{left}, 2},
		{"interval", good + "ESTAB 0 0 10.0.0.1:1 10.0.0.2:80 timer:(on,3.48ms,0)\n", 2, "timer", []string{left}, 1},
		{"more about no socket", ssHead + "\t cwnd:10\n" + good, 2, "no socket", []string{left}, 1},
		{"the first of a headless one", "STAB 0 0 10.0.0.1:1 10.0.0.2:80\n" + good, 1, "no header", []string{left}, 1},
		{"NUL", good + "ESTAB 0 0 10.0.0.1:1 10.0.0.2:8\x000\n", 2, "port", []string{left}, 1},
		{"too long", good + "ESTAB 0 0 10.0.0.1:1 10.0.0.2:80 " + strings.Repeat("x", maxLine) + "\n" + "ESTAB 0 0 10.0.0.1:2 10.0.0.2:80\n", 2, "longer",
			[]string{left, "ESTAB 10.0.0.1:2 10.0.0.2:80 0 0"}, 1},
		{"ss twice", ssHead + good + "\n" + ssHead + good + good, 4, "second dump begins here, of ss", []string{left}, 3},
		{"ss and netstat", good + "Active Internet connections (servers and established)\ntcp 0 0 10.0.0.1:1 10.0.0.2:80 ESTABLISHED\n", 2, "of netstat", []string{left}, 2},
		{"ss and netstat without headers", good + "tcp 0 0 10.0.0.1:1 10.0.0.2:80 ESTABLISHED\n", 2, "of netstat", []string{left}, 1},
		{"ss and /proc/net/tcp", good + "  sl  local_address rem_address   st\n", 2, "of /proc/net/tcp", []string{left}, 1},
		{"nothing but damage", ssHead + "ESTAB 0 0 10.0.0.1:1 10.0.0.2:https\n", 2, "-n", nil, 0},

		{"no State column", "0 0 10.0.0.1:1 10.0.0.2:80\n", 1, "ss -tan", nil, 0},
		{"no State column, with a header", "Recv-Q Send-Q Local Address:Port Peer Address:Port\n0 0 10.0.0.1:1 10.0.0.2:80\n", 2, "ss -tan", nil, 0},
		{"no State column, another command", "$ netstat -tan state close-wait\n0 0 10.0.0.1:1 10.0.0.2:80\n", 2, "ss -tan", nil, 0},
		{"/proc/net/udp", "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n", 1, "UDP", nil, 0},
		{"/proc/net/tcp, then udp", "sl local_address rem_address st\n0: 0100007F:1F90 0200007F:CD1E 08 00000000:00000001 00:00000000 00000000 0 0 77\n" +
			"sl local_address rem_address st tx_queue rx_queue tr tm->when retrnsmt uid timeout inode ref pointer drops\n" +
			"1: 0100007F:0035 0200007F:CD1E 01 00000000:00000001 00:00000000 00000000 0 0 78 2 0 0\n", 3, "UDP", nil, 0},
		{"macOS", "Active Internet connections (including servers)\nProto Recv-Q Send-Q  Local Address          Foreign Address        (state)\n", 2, "macOS", nil, 0},

		{"netstat, cut by it", "tcp 0 0 10.0.0.1:40000 10.0.0.2:80 ESTABLISHED\ntcp6 0 0 2001:db8:1:2::abc:52272 2001:db8:1:2::abcd:8081 ESTABLISHED\n", 2, "-W", []string{left}, 1},
		{"netstat, cut by it into none", "tcp 0 0 10.0.0.1:40000 10.0.0.2:80 ESTABLISHED\ntcp6 0 0 2001:db8:1234:567:36518 2001:db8:1234:5678:8080 ESTABLISHED\n", 2, "-W", []string{left}, 1},
		{"netstat, nothing but cut", "tcp6 0 0 2001:db8:1:2::abc:52272 2001:db8:1:2::abcd:8081 ESTABLISHED\n", 1, "-W", nil, 0},
		{"netstat, cut in the state", "tcp 0 0 10.0.0.1:40000 10.0.0.2:80 ESTABLISHED\ntcp 0 0 10.0.0.1:1 10.0.0.2:80 CLOSE", 2, "state", []string{left}, 1},
		{"netstat, names", "tcp 0 0 10.0.0.1:40000 10.0.0.2:80 ESTABLISHED\ntcp 0 0 web1.example:1 10.0.0.2:http ESTABLISHED\n", 2, "-n", []string{left}, 1},
		{"netstat, process", "tcp 0 0 10.0.0.1:40000 10.0.0.2:80 ESTABLISHED\ntcp 0 0 10.0.0.1:1 10.0.0.2:80 ESTABLISHED 0/x\n", 2, "process", []string{left}, 1},

		{"lsof, cut in the state", "a 5 root 3u IPv4 7 0t0 TCP 10.0.0.1:40000->10.0.0.2:80 (ESTABLISHED)\na 5 root 3u IPv4 8 0t0 TCP 10.0.0.1:40000->10.0.0.2:80 (ESTAB", 2, "state",
			[]string{left + " by 5"}, 1},
		{"lsof, names", "a 5 root 3u IPv4 7 0t0 TCP 10.0.0.1:40000->10.0.0.2:80 (ESTABLISHED)\na 5 root 3u IPv4 8 0t0 TCP localhost:1->10.0.0.2:http (ESTABLISHED)\n", 2, "-nP",
			[]string{left + " by 5"}, 1},
		{"/proc/net/tcp, cut", "0: 0100007F:1F90 0200007F:CD1E 08 00000000:00000001 00:00000000 00000000 0 0 77\n1: 0100007F:1F90 0200007F:CD1F 08 0000", 2, "tx_queue",
			[]string{"CLOSE-WAIT 127.0.0.1:8080 127.0.0.2:52510 1 0"}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			check := func(err error) {
				t.Helper()
				var e *LineError
				if !errors.As(err, &e) {
					t.Fatalf("the error is %v, no LineError", err)
				}
				if e.Line != c.line || !strings.Contains(e.Err.Error(), c.says) {
					t.Errorf("%v is not about line %d and %q", e, c.line, c.says)
				}
				if len(e.Text) > shownText+len("...") || len(e.Error()) > 500 {
					t.Errorf("the error is too long to read: %v", e)
				}
			}
			_, err := Parse(strings.NewReader(c.text), Options{})
			check(err)

			d, err := Parse(strings.NewReader(c.text), Options{Lenient: true})
			if c.want == nil {
				check(err)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := collect(t, d)
			if !slices.Equal(briefs(got), c.want) {
				t.Errorf("read\n%s\nnot\n%s", strings.Join(briefs(got), "\n"), strings.Join(c.want, "\n"))
			}
			where := fmt.Sprintf("line %d", c.line)
			i := slices.IndexFunc(got.gaps, func(g tcpvet.Gap) bool { return g.Where == where })
			if i < 0 {
				t.Fatalf("no gap names %s: %v", where, got.gaps)
			}
			if g := got.gaps[i]; g.What != "sockets" || g.Count != c.count || !strings.Contains(g.Err, c.says) {
				t.Errorf("the gap is %+v, not one of %d lines about %q", g, c.count, c.says)
			}
		})
	}
}

func TestUnrecognised(t *testing.T) {
	for _, c := range []struct {
		text string
		want error
	}{
		{"", ErrEmpty},
		{"\n \r\n\t\n", ErrEmpty},
		{"hello\n", ErrUnrecognised},
		{"$ ss -tan\n", ErrUnrecognised},
		{"root@web1:~# ss -s\nTotal: 37\nTCP:   15 (estab 8, closed 3, orphaned 0, timewait 2)\n", ErrUnrecognised},
		{"   3512 CLOSE_WAIT\n     12 ESTABLISHED\n", ErrUnrecognised},
		{strings.Repeat("line\n", searched+1) + ssHead, ErrUnrecognised},
		{strings.Repeat("\x00", 3*maxLine), ErrUnrecognised},
	} {
		for _, lenient := range []bool{false, true} {
			_, err := Parse(strings.NewReader(c.text), Options{Lenient: lenient})
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), "ss -tan") {
				t.Errorf("%.40q, lenient %v: %v, not %v", c.text, lenient, err, c.want)
			}
		}
	}
	broken := errors.New("disk on fire")
	if _, err := Parse(&failing{text: ssHead, err: broken}, Options{Lenient: true}); !errors.Is(err, broken) {
		t.Errorf("an error of the reader comes out as %v", err)
	}
}

// TestCut reads what there is of a text whose reader says that it was cut, where it
// is asked to: the line that the cut is in is no line of it.
func TestCut(t *testing.T) {
	fault := fmt.Errorf("%w: gone after 9 bytes", ErrCut)
	for _, c := range []struct {
		text string
		line int
		want []string // nil where nothing is left
	}{
		{"", 1, nil},
		{"Hello,\n", 2, nil},
		{ssHead, 2, nil},
		{ssHead + "ESTAB 0 0 10.0.0.1:40000 10.0.0.2:8", 2, nil},
		{ssHead + ssLine, 3, []string{ssSame}},
		{ssHead + ssLine + "ESTAB 0 0 10.0.0.1:40001 10.0.0.2:80", 3, []string{ssSame}},
		{ssHead + ssLine + strings.Repeat("x", 1<<17), 3, []string{ssSame}},
	} {
		_, err := Parse(&failing{c.text, fault}, Options{})
		if !errors.Is(err, ErrCut) || !strings.Contains(err.Error(), fmt.Sprintf("line %d", c.line)) ||
			!strings.Contains(err.Error(), "after 9 bytes") || !strings.Contains(err.Error(), "--lenient") {
			t.Errorf("%.60q: %v", c.text, err)
		}
		d, err := Parse(&failing{c.text, fault}, Options{Lenient: true})
		if c.want == nil {
			if !errors.Is(err, ErrCut) || !strings.Contains(err.Error(), fmt.Sprintf("line %d", c.line)) {
				t.Errorf("%.60q, of which nothing is left: %v", c.text, err)
			}
			continue
		}
		if err != nil || !d.Cut() {
			t.Errorf("%.60q, leniently: %v", c.text, err)
			continue
		}
		got := collect(t, d)
		if !slices.Equal(briefs(got), c.want) || len(got.gaps) != 1 || got.gaps[0].Where != fmt.Sprintf("line %d", c.line) ||
			got.gaps[0].What != "the rest of the text" || !strings.Contains(got.gaps[0].Err, "after 9 bytes") {
			t.Errorf("%.60q: read %q with gaps %+v", c.text, briefs(got), got.gaps)
		}
	}
	if d, _ := read(t, ssHead+ssLine); d.Cut() {
		t.Error("a whole text is called cut")
	}
}

type failing struct {
	text string
	err  error
}

func (f *failing) Read(b []byte) (int, error) {
	n := copy(b, f.text)
	if f.text = f.text[n:]; n == 0 {
		return 0, f.err
	}
	return n, nil
}
