package scenarios

import (
	"context"
	"fmt"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// ConntrackTimeWait shortens the firewall's TIME_WAIT, which is not the stack's.
var ConntrackTimeWait = &lab.Scenario{
	Name:      "conntrack-time-wait",
	Title:     "nf_conntrack_tcp_timeout_time_wait does not shorten TIME-WAIT",
	Source:    "article: nf_conntrack_tcp_timeout_time_wait; Documentation/networking/nf_conntrack-sysctl.rst",
	Claims:    []int{15},
	Needs:     []lab.Need{lab.Installed("nft"), lab.Setting(trackedTimeWait)},
	Expects:   []string{"port-exhaustion", "time-wait-pressure"},
	Acts:      []lab.Act{idleServer, portTaker},
	Constants: []string{"for 60 s"},
	Play: func(ctx context.Context, s *lab.Stage) error {
		t := &tracked{Stage: s, churner: churner{ports: portsOf(s.Ports)}}
		return inOrder(ctx, t.open, t.fill, t.expire, t.diagnosis)
	},
}

const (
	trackedTimeWait = "net.netfilter.nf_conntrack_tcp_timeout_time_wait"

	// tracking is a ruleset that has nf_conntrack follow what is sent. It
	// lets everything pass.
	tracking = "table inet lab {\n\tchain out {\n\t\ttype filter hook output priority 0;\n\t\tct state new counter accept\n\t}\n}\n"

	// short is what the setting is set to: so long that a busy machine looks
	// at the table before it is empty.
	short = 3 * time.Second
)

// tracked is a play of ConntrackTimeWait under way.
type tracked struct {
	*lab.Stage
	churner
}

func (t *tracked) open(ctx context.Context) error {
	step := lab.Step{Name: "stage", Title: "A firewall that tracks connections"}
	const file = "/tmp/rules"
	nft, err := t.Host.Program(ctx, lab.Program{Name: "nft", Args: []string{"-f", file}, Setup: lab.Setup{Files: map[string]string{file: tracking}}})
	if err != nil {
		return err
	}
	if status, err := nft.Wait(ctx); err != nil || status != 0 {
		return fmt.Errorf("run nft: status %d, %v: %s", status, err, nft.Errors())
	}
	before, err := t.Host.Sysctl(trackedTimeWait)
	if err != nil {
		return err
	}
	var seconds int
	if _, err := fmt.Sscan(before, &seconds); err != nil {
		return fmt.Errorf("read %s: %w", trackedTimeWait, err)
	}
	if err := t.Host.SetSysctl(trackedTimeWait, fmt.Sprint(int(short.Seconds()))); err != nil {
		return err
	}
	if err := setRange(&step, t.Host, t.ports); err != nil {
		return err
	}
	if err := keepTimeWaits(&step, t.Host); err != nil {
		return err
	}
	if _, err := startServer(ctx, t.Host, stock); err != nil {
		return err
	}
	if err := t.begin(t.Host, 0); err != nil {
		return err
	}
	step.Done = append(step.Done,
		"nft loads a rule by which nf_conntrack follows every connection of this namespace.",
		fmt.Sprintf("%s is set from %s to %s. net.ipv4.tcp_tw_reuse is %s.", trackedTimeWait,
			step.Count("before_seconds", seconds), step.Count("tried_seconds", int(short.Seconds())), step.ID("reuse", 0)),
		fmt.Sprintf("stock-server listens on %s. crawler (process %s) will make requests, a connection each, and close first.", stock, step.ID("client_pid", t.client.PID)))
	t.Tell(step)
	return nil
}

// entries counts what nf_conntrack knows of the connections to the service.
func (t *tracked) entries() (n int, err error) {
	err = t.Host.Do(func() error {
		flows, err := netlink.ConntrackTableList(netlink.ConntrackTable, unix.AF_INET)
		if err != nil {
			return fmt.Errorf("list what nf_conntrack knows: %w", err)
		}
		for _, f := range flows {
			if f.Forward.Protocol == unix.IPPROTO_TCP && f.Forward.DstPort == stock.Port() {
				n++
			}
		}
		return nil
	})
	return n, err
}

func (t *tracked) fill(ctx context.Context) error {
	step := lab.Step{Name: "fill", Title: "Two tables fill"}
	r, err := t.use(ctx, stock)
	if err != nil {
		return err
	}
	known, err := t.entries()
	if err != nil {
		return err
	}
	ends, err := t.Ends(ctx, stock)
	if err != nil {
		return err
	}
	if waiting := int(ends.Client[tcpvet.TimeWait]); known == 0 || waiting != t.ports {
		return fmt.Errorf("nf_conntrack knows %d connections, and %d are in TIME-WAIT", known, waiting)
	}
	step.Done = []string{fmt.Sprintf("crawler makes %s requests in %s, and no port is left.", step.Count("requests_count", r.Count), step.Seconds("requests_seconds", r.Took))}
	step.Shown = []string{fmt.Sprintf("nf_conntrack has %s entries for %s. The stack has %s sockets in TIME-WAIT.", step.Count("entries_count", known), stock,
		step.Count("time_wait_count", int(ends.Client[tcpvet.TimeWait])))}
	t.Tell(step)
	return nil
}

func (t *tracked) expire(ctx context.Context) error {
	step := lab.Step{Name: "expire", Title: "One of them empties"}
	begin := time.Now()
	err := lab.Until(ctx, "the entries of nf_conntrack to expire", func() (bool, error) {
		n, err := t.entries()
		return n == 0, err
	})
	if err != nil {
		return err
	}
	waited := time.Since(begin)
	r, err := t.churn(ctx, churnOrder{To: stock, Count: 1})
	if err != nil {
		return err
	}
	if err := failsBy(r.Failure, "connect", "EADDRNOTAVAIL"); err != nil {
		return err
	}
	ends, err := t.Ends(ctx, stock)
	if err != nil {
		return err
	}
	if err := exactly("sockets in TIME-WAIT", int(ends.Client[tcpvet.TimeWait]), t.ports); err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = []string{"Nothing is done until nf_conntrack has forgotten all of them. Then crawler connects once more."}
	step.Shown = []string{
		fmt.Sprintf("After %s nf_conntrack has %s entries. connect() still fails, and the sockets are as before:", step.Seconds("waited_seconds", waited), step.Count("entries_count", 0)),
		told(&step, r.Failure),
	}
	step.Means = []string{
		"The article tried this setting and found that it did not seem to work. It does work, on another table: nf_conntrack is the firewall's memory of connections, its own and those that it forwards. " +
			"The sockets of this host are the stack's, which keeps a TIME-WAIT for 60 s whatever the firewall knows of it.",
	}
	t.Tell(step)
	return nil
}

func (t *tracked) diagnosis(ctx context.Context) error {
	step := lab.Step{Name: "diagnosis", Title: "What tcpvet diagnose says"}
	err := t.Judge(ctx, &step, lab.Expect{
		Rules: []string{"port-exhaustion", "time-wait-pressure"},
		Of: map[string]lab.Particulars{
			"port-exhaustion":    {Kind: "exhausted", Service: stock},
			"time-wait-pressure": {Kind: "ports-held", Service: stock},
		},
	})
	if err != nil {
		return err
	}
	t.Tell(step)
	return nil
}
