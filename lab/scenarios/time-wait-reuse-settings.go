package scenarios

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// TimeWaitReuseSettings tries the three settings that the article recommends
// against TIME-WAIT.
var TimeWaitReuseSettings = &lab.Scenario{
	Name:      "time-wait-reuse-settings",
	Title:     "tcp_tw_reuse needs timestamps at both ends, and tcp_tw_recycle does not exist",
	Source:    "article: tcp_tw_reuse, tcp_timestamps, tcp_tw_recycle; kernel function tcp_twsk_unique",
	Claims:    []int{16},
	Needs:     []lab.Need{lab.Installed("sysctl")},
	Expects:   []string{"port-exhaustion", "sysctl-antipattern", "time-wait-pressure"},
	Acts:      []lab.Act{idleServer, portTaker},
	Constants: []string{"after 60 s", "/proc/sys/net/ipv4/"},
	Play: func(ctx context.Context, s *lab.Stage) error {
		r := &reuseSettings{Stage: s, churner: churner{ports: portsOf(s.Ports)}}
		return inOrder(ctx, r.open, r.lines, r.clientWithout, r.serverWithout, r.both)
	},
}

// reuseSettings is a play of TimeWaitReuseSettings under way.
type reuseSettings struct {
	*lab.Stage
	churner
	server   *lab.Host
	services [3]netip.AddrPort // so that no TIME-WAIT of one moment is met by the next
}

func (r *reuseSettings) open(ctx context.Context) (err error) {
	step := lab.Step{Name: "stage", Title: "A client and a server on two hosts"}
	if r.server, err = r.NewHost(ctx, "server"); err != nil {
		return err
	}
	link, err := r.Link(ctx, r.Host, r.server, lab.LinkOptions{})
	if err != nil {
		return err
	}
	if err := setRange(&step, r.Host, r.ports); err != nil {
		return err
	}
	if err := keepTimeWaits(&step, r.Host); err != nil {
		return err
	}
	for i := range r.services {
		r.services[i] = netip.AddrPortFrom(link.B.Addr4, stock.Port()+uint16(i))
	}
	if _, err := startServer(ctx, r.server, r.services[:]...); err != nil {
		return err
	}
	if err := r.begin(r.Host, 0); err != nil {
		return err
	}
	step.Done = append(step.Done, fmt.Sprintf("stock-server listens on %s, %s and %s. crawler (process %s) makes requests on the other host, a connection each, and closes first.",
		r.services[0], r.services[1], r.services[2], step.ID("client_pid", r.client.PID)))
	r.Tell(step)
	return nil
}

// lines has sysctl(8) set what the article prints.
func (r *reuseSettings) lines(ctx context.Context) error {
	step := lab.Step{Name: "lines", Title: "The article's three lines"}
	const file = "/tmp/sysctl.conf"
	lines := []string{"net.ipv4.tcp_tw_reuse = 1", "net.ipv4.tcp_timestamps = 1", "net.ipv4.tcp_tw_recycle = 1"}
	sysctl, err := r.Host.Program(ctx, lab.Program{
		Name: "sysctl", Args: []string{"-p", file}, Setup: lab.Setup{Files: map[string]string{file: strings.Join(lines, "\n") + "\n"}},
	})
	if err != nil {
		return err
	}
	status, err := sysctl.Wait(ctx)
	if err != nil {
		return err
	}
	if _, err := r.Host.Sysctl("net.ipv4.tcp_tw_recycle"); !missing(err) {
		return fmt.Errorf("this kernel has net.ipv4.tcp_tw_recycle still, or: %w", err)
	}
	complaint := sysctl.Errors()
	reuse, err := setting(r.Host, "tcp_tw_reuse")
	if err != nil {
		return err
	}
	if status == 0 || !strings.Contains(complaint, "tcp_tw_recycle") || reuse != 1 {
		return fmt.Errorf("sysctl -p ended with status %d, tcp_tw_reuse is %d: %s", status, reuse, complaint)
	}
	step.Done = []string{"They are put into a file, and sysctl -p reads it:"}
	step.Done = append(step.Done, numbered(&step, lines)...)
	step.Shown = []string{
		fmt.Sprintf("It sets the first two, and ends with status %s:", step.ID("status", status)),
		complaint,
	}
	step.Means = []string{"tcp_tw_recycle is gone since Linux 4.12. It was the unsafe one: it dropped the SYNs of clients that share an address behind NAT, and is what the warnings are about. " +
		"tcp_tw_reuse is another thing, and acts on connections that this host opens."}
	r.Tell(step)
	return nil
}

// numbered notes the values of lines of sysctl.conf.
func numbered(step *lab.Step, lines []string) []string {
	for _, l := range lines {
		if name, value, ok := strings.Cut(l, " = "); ok {
			if n, err := strconv.Atoi(value); err == nil {
				step.Count(name, n)
			}
		}
	}
	return lines
}

func (r *reuseSettings) clientWithout(ctx context.Context) error {
	step := lab.Step{Name: "client", Title: "tcp_tw_reuse without the client's timestamps"}
	if err := set(r.Host, map[string]int{"tcp_timestamps": 0}); err != nil {
		return err
	}
	to := r.services[0]
	filled, err := r.use(ctx, to)
	if err != nil {
		return err
	}
	none, err := r.none(ctx, to)
	if err != nil {
		return err
	}
	err = r.Judge(ctx, &step, lab.Expect{
		Rules: []string{"port-exhaustion", "sysctl-antipattern", "time-wait-pressure"},
		Of: map[string]lab.Particulars{
			"port-exhaustion":    {Kind: "exhausted", Service: to},
			"sysctl-antipattern": {Kind: "reuse-without-timestamps", Severity: tcpvet.Warning},
			"time-wait-pressure": {Kind: "ports-held", Service: to},
		},
	})
	if err != nil {
		return err
	}
	step.Done = []string{fmt.Sprintf("net.ipv4.tcp_timestamps is set to %s on the client's host, and the %s ports to %s are used up.", step.ID("timestamps", 0),
		step.Count("requests_count", filled.Count), to)}
	step.Shown = []string{fmt.Sprintf("After more than %s with tcp_tw_reuse %s: %s.", step.Seconds("delay_seconds", r.delay), step.ID("reuse", 1), none)}
	step.Means = []string{"The kernel reuses a TIME-WAIT only if its connection had timestamps: they are how it tells an old segment from a new one. The ports come back after 60 s, as without the setting."}
	r.Tell(step)
	return set(r.Host, map[string]int{"tcp_timestamps": 1})
}

func (r *reuseSettings) serverWithout(ctx context.Context) error {
	step := lab.Step{Name: "server", Title: "tcp_tw_reuse without the server's timestamps"}
	if err := set(r.server, map[string]int{"tcp_timestamps": 0}); err != nil {
		return err
	}
	to := r.services[1]
	if _, err := r.use(ctx, to); err != nil {
		return err
	}
	none, err := r.none(ctx, to)
	if err != nil {
		return err
	}
	err = r.Judge(ctx, &step, lab.Expect{
		Rules: []string{"port-exhaustion"},
		Of:    map[string]lab.Particulars{"port-exhaustion": {Kind: "reuse-unsure", Severity: tcpvet.Info, Service: to}},
	})
	if err != nil {
		return err
	}
	step.Done = []string{fmt.Sprintf("The client has timestamps again. They are off on the server's host, and the ports to %s are used up.", to)}
	step.Shown = []string{fmt.Sprintf("After more than %s with tcp_tw_reuse %s: %s.", step.Seconds("delay_seconds", r.delay), step.ID("reuse", 1), none)}
	step.Means = []string{"Timestamps are used where both ends offer them in the handshake. The client's settings are all in order, and its ports are gone. " +
		"Its host cannot tell from a TIME-WAIT what the peer offered, so tcpvet says that it depends on that."}
	r.Tell(step)
	return set(r.server, map[string]int{"tcp_timestamps": 1})
}

func (r *reuseSettings) both(ctx context.Context) error {
	step := lab.Step{Name: "both", Title: "With timestamps at both ends"}
	to := r.services[2]
	if _, err := r.use(ctx, to); err != nil {
		return err
	}
	if _, err := r.all(ctx, churnOrder{To: to, Count: r.ports, Insist: lab.Generous}); err != nil {
		return err
	}
	ends, err := r.Ends(ctx, to)
	if err != nil {
		return err
	}
	if err := exactly("connections in TIME-WAIT", int(ends.Client[tcpvet.TimeWait]), r.ports); err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = []string{fmt.Sprintf("The ports to %s are used up, and crawler asks for as many connections again.", to)}
	step.Shown = []string{fmt.Sprintf("All %s succeed, over the same ports. The table holds no more TIME-WAITs than before:", step.Count("reused_count", r.ports))}
	step.Means = []string{"That is what the setting does: a new connection takes the port of a TIME-WAIT, and begins with sequence numbers and timestamps beyond those of the old one."}
	r.Tell(step)
	return nil
}
