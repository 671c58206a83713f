package trace

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

func init() { Parts["inside"] = inside }

// view is what a trace in namespaces of its own tells of one connection.
type view struct {
	Self           tcpvet.Process // by its own /proc
	Client, Server tcpvet.Event
	Err            string
}

// inside traces a connection of its own to a listener of the test.
func inside() error {
	var v view
	err := func() error {
		var to netip.AddrPort
		if err := json.NewDecoder(os.Stdin).Decode(&to); err != nil {
			return err
		}
		p, _, err := identify(os.Getpid())
		if err != nil {
			return err
		}
		v.Self = p
		tr, err := Open(Options{Kinds: Closes})
		if err != nil {
			return err
		}
		defer tr.Close()
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		if err := dial(&socket{fd: fd}, to); err != nil {
			return err
		}
		if err := unix.Close(fd); err != nil {
			return err
		}
		enough := errors.New("enough")
		ctx, cancel := context.WithTimeout(context.Background(), hasty)
		defer cancel()
		err = tr.Run(ctx, func(e *tcpvet.Event) error {
			switch to {
			case e.Remote:
				v.Client = *e
			case e.Local:
				v.Server = *e
			}
			if v.Client.Kind != 0 && v.Server.Kind != 0 {
				return enough
			}
			return nil
		})
		if !errors.Is(err, enough) {
			return err
		}
		return nil
	}()
	if err != nil {
		v.Err = err.Error()
	}
	return kerneltest.Say(v)
}

// Seen from inside of a PID namespace, PIDs are those of that one, and who is outside
// is not seen; from inside of a time namespace, a process began when /proc says so
// there, and an event happened now.
func TestRootHolderInside(t *testing.T) { kerneltest.Undisturbed(t, testHolderInside) }

func testHolderInside(t testing.TB) {
	need(t)
	unshare := kerneltest.Tool(t, "unshare")
	program, err := os.Executable()
	must(t, err)
	kerneltest.Netns(t)
	l, at := listen(t, lo4)
	serve(t, l)
	for _, test := range []struct {
		name  string
		flags []string
		apart bool
	}{
		{"here", nil, false},
		{"PID", []string{"--pid", "--fork", "--mount-proc"}, true},
		{"PID twice", []string{"--pid", "--fork", "--mount-proc", unshare, "--pid", "--fork", "--mount-proc"}, true},
		{"time", []string{"--time", "--boottime", "100000", "--monotonic", "5000"}, false},
	} {
		var v view
		p := start(t, "inside", at, func(cmd *exec.Cmd) {
			if test.flags != nil {
				cmd.Path, cmd.Args = unshare, append(append([]string{unshare}, test.flags...), program)
			}
		})
		must(t, p.answer.Decode(&v))
		must(t, p.end())
		if v.Err != "" {
			t.Fatalf("%s: %s", test.name, v.Err)
		}
		me := tcpvet.Unseen
		if !test.apart {
			me, _ = self(t)
		}
		if test.name == "time" {
			me.Start += 100000 * 100
		}
		if v.Client.Process != v.Self || v.Server.Process != me {
			t.Errorf("%s: client %v, server %v; want %v and %v", test.name, v.Client.Process, v.Server.Process, v.Self, me)
		}
		if ago := time.Since(v.Client.At); ago < 0 || ago > generous {
			t.Errorf("%s: it was %v ago", test.name, ago)
		}
	}
}
