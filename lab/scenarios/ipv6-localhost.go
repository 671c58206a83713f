package scenarios

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
	"golang.org/x/sys/unix"
)

// Ipv6Localhost has localhost mean ::1 where IPv6 is off.
var Ipv6Localhost = &lab.Scenario{
	Name:    "ipv6-localhost",
	Title:   "localhost means ::1, and nobody has that address",
	Source:  "hosts(5), getaddrinfo(3); RFC 6724, section 6; article: errno 99, cannot assign requested address",
	Needs:   []lab.Need{lab.Installed("python3"), lab.Setting("net.ipv6.conf.all.disable_ipv6")},
	Expects: []string{"ipv6-localhost"},
	Acts:    []lab.Act{idleServer},
	Play: func(ctx context.Context, s *lab.Stage) error {
		l := &localhost{Stage: s}
		return inOrder(ctx, l.open, l.only, l.first, l.enabled, l.right)
	},
}

// localhost is a play of Ipv6Localhost under way.
type localhost struct {
	*lab.Stage
	only6, first6 *lab.Process // clients, by their hosts files
}

// nameClient connects to localhost, or to another host that it is told, and keeps
// its connections. Asked for the first line it tries no other address than that of
// the first line of /etc/hosts which names localhost.
const nameClient = `
import json, socket, sys
kept = []

def resolve(host):
    return [a[4][0] for a in socket.getaddrinfo(host, 8080, 0, socket.SOCK_STREAM)]

def first_line():
    for line in open("/etc/hosts"):
        words = line.split()
        if "localhost" in words[1:]:
            return words[0]

def connect(host):
    try:
        s = socket.create_connection((host or first_line(), 8080), 60)
        kept.append(s)
        return {"Peer": s.getpeername()[0], "Text": "", "Errno": 0}
    except OSError as e:
        return {"Peer": "", "Text": str(e), "Errno": e.errno}

for line in sys.stdin:
    q = json.loads(line)
    a = {"resolve": resolve, "connect": connect}[q["Cue"]](q["Order"])
    print(json.dumps({"Answer": a, "Err": ""}), flush=True)
`

// The cues of nameClient.
const (
	nameResolve = "resolve" // string, []string: the addresses of a name, in the order of getaddrinfo()
	nameConnect = "connect" // string, connected: connect to a name; "" for the first line
)

// connected is what came of a connect.
type connected struct {
	Peer  string // the address, "" where it failed
	Text  string // what Python says of the failure
	Errno int
}

// start starts a client with a hosts file of its own.
func (l *localhost) start(ctx context.Context, hosts ...string) (*lab.Process, error) {
	const script = "/tmp/name-client.py"
	return l.Host.Program(ctx, lab.Program{
		Name: "python3", Args: []string{"-u", script},
		Setup: lab.Setup{Hosts: hosts, Files: map[string]string{script: nameClient}},
	})
}

// connect has a client connect, and makes sure of the outcome: the peer's address,
// or the errno.
func (l *localhost) connect(ctx context.Context, client *lab.Process, host, peer string, errno unix.Errno) (c connected, err error) {
	if err = client.Cue(ctx, nameConnect, host, &c); err == nil && (c.Peer != peer || unix.Errno(c.Errno) != errno) {
		err = fmt.Errorf("connect to %q: %+v, not peer %q and errno %d", host, c, peer, int(errno))
	}
	return c, err
}

func (l *localhost) open(ctx context.Context) error {
	step := lab.Step{Name: "open", Title: "A host without IPv6, as many container networks are"}
	if err := l.ipv6(1); err != nil {
		return err
	}
	server, err := l.Host.StartWith(sound, idleServer, "stock-server", stock.String())
	if err != nil {
		return err
	}
	if err := server.Cue(ctx, serverListen, listenOrder{On: []netip.AddrPort{stock}, Idle: lab.Generous}, &struct{}{}); err != nil {
		return err
	}
	if l.only6, err = l.start(ctx, "::1 localhost ip6-localhost"); err != nil {
		return err
	}
	step.Done = []string{
		fmt.Sprintf("net.ipv6.conf.all.disable_ipv6 is set to %s. stock-server (process %s) listens on %s.", step.ID("disable_ipv6", 1), step.ID("server_pid", server.PID), stock),
		fmt.Sprintf("A Python program (process %s) has a hosts file of its own, as in a container. In it localhost has no address but ::1.", step.ID("client_pid", l.only6.PID)),
	}
	l.Tell(step)
	return nil
}

// ipv6 turns IPv6 off, by 1, or on, by 0.
func (l *localhost) ipv6(off int) error {
	for _, of := range []string{"all", "lo"} {
		if err := l.Host.SetSysctl("net.ipv6.conf."+of+".disable_ipv6", fmt.Sprint(off)); err != nil {
			return err
		}
	}
	return nil
}

func (l *localhost) only(ctx context.Context) error {
	step := lab.Step{Name: "only", Title: "Errno 99, and not for want of a port"}
	resolved, err := l.resolve(ctx, l.only6, "::1")
	if err != nil {
		return err
	}
	named, err := l.connect(ctx, l.only6, "localhost", "", unix.EADDRNOTAVAIL)
	if err != nil {
		return err
	}
	byNumber, err := l.connect(ctx, l.only6, "127.0.0.1", "127.0.0.1", 0)
	if err != nil {
		return err
	}
	ends, err := l.Settled(ctx, stock, "the connection to be open", states(tcpvet.Established, tcpvet.Established))
	if err != nil {
		return err
	}
	err = l.Judge(ctx, &step, lab.Expect{
		Rules: []string{"ipv6-localhost"},
		Of:    map[string]lab.Particulars{"ipv6-localhost": {Kind: "only", Severity: tcpvet.Warning}},
	})
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = []string{"The program connects to localhost, port " + step.ID("port", int(stock.Port())) + ", and then to 127.0.0.1."}
	step.Shown = []string{
		fmt.Sprintf("getaddrinfo() gives %s. connect() fails: \"%s\" (errno %s, EADDRNOTAVAIL).", resolved, named.Text, step.ID("errno", named.Errno)),
		fmt.Sprintf("To %s it succeeds. That one connection is all that there is, so no port is short:", byNumber.Peer),
	}
	step.Means = []string{
		"This is the very error of used-up ports. Here it is the address that cannot be had: lo has no ::1, so there is nothing to send from. A count of the connections tells the two apart.",
	}
	l.Tell(step)
	return nil
}

// resolve asks a client for the addresses of localhost, which have to be those.
func (l *localhost) resolve(ctx context.Context, client *lab.Process, want ...string) (string, error) {
	var got []string
	if err := client.Cue(ctx, nameResolve, "localhost", &got); err != nil {
		return "", err
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		return "", fmt.Errorf("getaddrinfo() gives %v for localhost, not %v", got, want)
	}
	return strings.Join(got, ", "), nil
}

func (l *localhost) first(ctx context.Context) (err error) {
	step := lab.Step{Name: "first", Title: "Where ::1 only stands first"}
	if l.first6, err = l.start(ctx, "::1 localhost", "127.0.0.1 localhost"); err != nil {
		return err
	}
	resolved, err := l.resolve(ctx, l.first6, "127.0.0.1", "::1")
	if err != nil {
		return err
	}
	named, err := l.connect(ctx, l.first6, "localhost", "127.0.0.1", 0)
	if err != nil {
		return err
	}
	naive, err := l.connect(ctx, l.first6, "", "", unix.EADDRNOTAVAIL)
	if err != nil {
		return err
	}
	err = l.Judge(ctx, &step, lab.Expect{
		Rules: []string{"ipv6-localhost"},
		Of:    map[string]lab.Particulars{"ipv6-localhost": {Kind: "first", Severity: tcpvet.Info}},
	})
	if err != nil {
		return err
	}
	step.Done = []string{fmt.Sprintf("A second program (process %s) has a hosts file that gives ::1 for localhost, and 127.0.0.1 in the line after it.", step.ID("second_pid", l.first6.PID))}
	step.Shown = []string{
		fmt.Sprintf("getaddrinfo() puts first what can be reached: %s. The connection goes to %s.", resolved, named.Peer),
		fmt.Sprintf("One that takes the first line of the file and tries no other address fails: \"%s\" (errno %s).", naive.Text, step.ID("naive_errno", naive.Errno)),
	}
	step.Means = []string{"Most programs get along. So the finding is a remark, while the one about the first program is a warning."}
	l.Tell(step)
	return nil
}

// enabled turns IPv6 on.
func (l *localhost) enabled(ctx context.Context) error {
	step := lab.Step{Name: "enabled", Title: "With IPv6 on"}
	if err := l.ipv6(0); err != nil {
		return err
	}
	named, err := l.connect(ctx, l.only6, "localhost", "", unix.ECONNREFUSED)
	if err != nil {
		return err
	}
	second, err := l.connect(ctx, l.first6, "localhost", "127.0.0.1", 0)
	if err != nil {
		return err
	}
	if err := l.Judge(ctx, &step, lab.Expect{}); err != nil {
		return err
	}
	step.Done = []string{fmt.Sprintf("net.ipv6.conf.all.disable_ipv6 is set to %s, so lo has ::1 again.", step.ID("disable_ipv6", 0))}
	step.Shown = []string{
		fmt.Sprintf("The first program now gets \"%s\" (errno %s, ECONNREFUSED): the address is there, and nobody listens on it. The second goes on to %s.",
			named.Text, step.ID("errno", named.Errno), second.Peer),
	}
	step.Means = []string{"The error is another one now. A server that is to be reached by that name has to listen on ::1 too, or the name has to mean 127.0.0.1."}
	l.Tell(step)
	return nil
}

// right gives a client a hosts file that fits.
func (l *localhost) right(ctx context.Context) error {
	step := lab.Step{Name: "right", Title: "A hosts file that is right either way"}
	if err := l.ipv6(1); err != nil {
		return err
	}
	l.only6.Kill()
	l.first6.Kill()
	third, err := l.start(ctx, "127.0.0.1 localhost", "::1 localhost ip6-localhost")
	if err != nil {
		return err
	}
	for _, host := range []string{"localhost", ""} {
		if _, err := l.connect(ctx, third, host, "127.0.0.1", 0); err != nil {
			return err
		}
	}
	if err := l.Judge(ctx, &step, lab.Expect{}); err != nil {
		return err
	}
	step.Done = []string{fmt.Sprintf("IPv6 is off again. A third program (process %s) has the line with 127.0.0.1 before the one with ::1, and connects to localhost, by its resolver and by the first line.", step.ID("third_pid", third.PID))}
	step.Shown = []string{"Both succeed."}
	step.Means = []string{"The cure is one line, in the image or in what writes the file."}
	l.Tell(step)
	return nil
}
