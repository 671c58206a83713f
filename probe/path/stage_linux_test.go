package path

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// playVariable makes this test binary a program that plays on a stage; its value is
// the name of the play.
const playVariable = "TCPVET_PATH_TEST"

func TestMain(m *testing.M) {
	lab.Main(scenario)
	if _, ok := os.LookupEnv(playVariable); ok {
		if err := program(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func program() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if !lab.Inside() {
		status, err := lab.Enter(ctx)
		if err == nil && status != 0 {
			os.Exit(status)
		}
		return err
	}
	_, err := lab.Play(ctx, scenario, lab.Options{
		Looks: []lab.Look{{
			Name:    "blind",
			Take:    func(context.Context, []string) (tcpvet.Census, error) { return tcpvet.Census{}, nil },
			Sockets: func(context.Context, []string) ([]tcpvet.Socket, error) { return nil, nil },
		}},
		Judge: func(tcpvet.Case) lab.Verdict { return lab.Verdict{} },
	})
	return err
}

var scenario = &lab.Scenario{
	Name: "path",
	Play: func(ctx context.Context, s *lab.Stage) error {
		found, err := plays[os.Getenv(playVariable)](ctx, s)
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(found)
	},
}

// playAll plays each on a stage of its own, all at the same time, for they do little but
// wait, and gives what each found.
func playAll[T any](t *testing.T, names []string) map[string]*T {
	t.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	out := make(map[string]*T)
	for _, name := range names {
		all.Go(func() {
			found := new(T)
			err := play(t.Context(), name, found)
			mu.Lock()
			defer mu.Unlock()
			if out[name] = found; err != nil {
				t.Errorf("play %s: %v", name, err)
			}
		})
	}
	all.Wait()
	return out
}

func play(ctx context.Context, name string, found any) error {
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Env = append(os.Environ(), playVariable+"="+name)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%w: %s", err, stderr.String())
	}
	return json.Unmarshal(out, found)
}

// far is another host, and a server that listens there.
type far struct {
	tunnel *lab.Tunnel // on the way there, nil for a plain link
	near   *lab.Host   // that measures
	host   *lab.Host
	at     netip.AddrPort
	kept   []net.Conn // a connection that nobody holds is closed
}

// behind makes a host behind a tunnel. What its server does with each connection is up
// to serve, which keeps it; nil for nothing at all.
func behind(ctx context.Context, s *lab.Stage, six bool, serve func(*net.TCPConn)) (*far, error) {
	h, err := s.NewHost(ctx, "far")
	if err != nil {
		return nil, err
	}
	t, err := s.Tunnel(ctx, s.Host, h, lab.LinkOptions{})
	if err != nil {
		return nil, err
	}
	f := &far{tunnel: t, near: s.Host, host: h, at: netip.AddrPortFrom(t.B.Addr4, 80)}
	if six {
		f.at = netip.AddrPortFrom(t.B.Addr6, 80)
	}
	return f, f.listen(ctx, serve)
}

// linked is behind with a plain link, which needs no root.
func linked(ctx context.Context, s *lab.Stage, serve func(*net.TCPConn)) (*far, error) {
	h, err := s.NewHost(ctx, "far")
	if err != nil {
		return nil, err
	}
	l, err := s.Link(ctx, s.Host, h, lab.LinkOptions{})
	if err != nil {
		return nil, err
	}
	f := &far{near: s.Host, host: h, at: netip.AddrPortFrom(l.B.Addr4, 80)}
	return f, f.listen(ctx, serve)
}

// track makes the far host's firewall forget connections after limit, and drop what
// belongs to none. A loose one takes up again what it has forgotten.
func (f *far) track(ctx context.Context, loose bool) error {
	const file, rules = "/tmp/rules", "table inet far {\n\tchain in {\n\t\ttype filter hook input priority 0;\n\t\tct state invalid drop\n\t}\n}\n"
	nft, err := f.host.Program(ctx, lab.Program{Name: "nft", Args: []string{"-f", file}, Setup: lab.Setup{Files: map[string]string{file: rules}}})
	if err != nil {
		return err
	}
	if status, err := nft.Wait(ctx); err != nil || status != 0 {
		return fmt.Errorf("run nft: status %d, %v: %s", status, err, nft.Errors())
	}
	value := "0"
	if loose {
		value = "1"
	}
	if err := f.host.SetSysctl("net.netfilter.nf_conntrack_tcp_loose", value); err != nil {
		return err
	}
	return f.host.SetSysctl("net.netfilter.nf_conntrack_tcp_timeout_established", fmt.Sprint(int(limit.Seconds())))
}

func (f *far) listen(ctx context.Context, serve func(*net.TCPConn)) error {
	var l net.Listener
	err := f.host.Do(func() (err error) {
		c := net.ListenConfig{KeepAlive: -1}
		l, err = c.Listen(ctx, "tcp", f.at.String())
		return err
	})
	if err != nil {
		return err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f.kept = append(f.kept, c)
			if serve != nil {
				go serve(c.(*net.TCPConn))
			}
		}
	}()
	return nil
}

// The limits of the stage. A time is above Least, and the longest step well above the
// limit.
const (
	limit   = 3 * time.Second
	most    = 6 * time.Second
	timeout = 2 * time.Second
)

// options are those of a measurement of f.
func (f *far) options() Options {
	return Options{
		Target: f.at.String(), Host: f.at.Addr().String(), Port: f.at.Port(), Timeout: timeout, Steps: Ladder(most), Probes: 3,
	}
}
