package remedy

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/netns"
	"github.com/tcpvet/tcpvet/source"
)

// order is what a process that holds connections is told to do, and end is one end of
// a connection as the process itself has it.
type order struct {
	Do     string // open, listen, call, accept, connect, timers, set, linger, shut, close or state
	Family string // of open: 4, 6 or mapped
	N      int
	FD     int
	Timers tcpvet.Timers
}

type end struct {
	FD     int
	Cookie uint64
	Port   int // of the listener
	Timers tcpvet.Timers
	State  uint8 // of the kernel
	Silent time.Duration
	Err    string
}

// holdEnds plays a process that opens connections to itself.
func holdEnds() error {
	lines, out := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	var all []end
	for lines.Scan() {
		var o order
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			return err
		}
		answer := []end{}
		switch o.Do {
		case "open":
			listener, err := listenOn(o.Family)
			if err != nil {
				return err
			}
			for range o.N {
				ends, err := connect(listener, o.Family)
				if err != nil {
					return err
				}
				answer = append(answer, ends[:]...)
			}
			all = append(all, answer...)
		case "listen":
			listener, err := listenOn(o.Family)
			if err != nil {
				return err
			}
			answer = append(answer, end{FD: listener})
		case "call":
			e, err := dial(o.FD, o.Family)
			if err != nil {
				return err
			}
			answer = append(answer, e)
		case "accept":
			e, err := accept(o.FD)
			if err != nil {
				return err
			}
			answer = append(answer, e)
		case "connect":
			ends, err := connect(o.FD, o.Family)
			if err != nil {
				return err
			}
			answer = append(answer, ends[:]...)
		case "timers":
			for _, e := range all {
				var err error
				if e.Timers, err = timersByOwner(e.FD); err != nil {
					return err
				}
				answer = append(answer, e)
			}
		case "set":
			if err := setByOwner(o.FD, o.Timers); err != nil {
				return err
			}
		case "linger": // so that what is left after close is a whole socket
			if err := unix.SetsockoptInt(o.FD, unix.IPPROTO_TCP, unix.TCP_LINGER2, o.N); err != nil {
				return err
			}
		case "shut":
			if err := unix.Shutdown(o.FD, unix.SHUT_WR); err != nil {
				return err
			}
		case "close":
			if err := unix.Close(o.FD); err != nil {
				return err
			}
		case "state":
			e := end{FD: o.FD}
			info, err := unix.GetsockoptTCPInfo(o.FD, unix.IPPROTO_TCP, unix.TCP_INFO)
			if err != nil {
				return err
			}
			e.State, e.Silent = info.State, silence(info)
			if n, err := unix.GetsockoptInt(o.FD, unix.SOL_SOCKET, unix.SO_ERROR); err == nil && n != 0 {
				e.Err = unix.ErrnoName(unix.Errno(n))
			}
			answer = append(answer, e)
		}
		if err := out.Encode(answer); err != nil {
			return err
		}
	}
	return nil
}

func listenOn(family string) (int, error) {
	domain := unix.AF_INET6
	var at unix.Sockaddr = &unix.SockaddrInet6{}
	if family == "4" {
		domain, at = unix.AF_INET, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	}
	fd, err := unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	return fd, errors.Join(unix.Bind(fd, at), unix.Listen(fd, 64))
}

// connect opens a connection to a listener and accepts it.
func connect(listener int, family string) (ends [2]end, err error) {
	if ends[0], err = dial(listener, family); err != nil {
		return ends, err
	}
	ends[1], err = accept(listener)
	ends[1].Port = ends[0].Port
	return ends, err
}

func dial(listener int, family string) (end, error) {
	name, err := unix.Getsockname(listener)
	if err != nil {
		return end{}, err
	}
	domain, port := unix.AF_INET6, 0
	var to unix.Sockaddr
	switch n := name.(type) {
	case *unix.SockaddrInet4:
		domain, port = unix.AF_INET, n.Port
		to = &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}
	case *unix.SockaddrInet6:
		port = n.Port
		six := &unix.SockaddrInet6{Port: port, Addr: [16]byte{15: 1}}
		if family == "mapped" {
			six.Addr = [16]byte{10: 0xff, 11: 0xff, 12: 127, 15: 1}
		}
		to = six
	}
	fd, err := unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return end{}, err
	}
	if err := unix.Connect(fd, to); err != nil {
		return end{}, err
	}
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
	return end{FD: fd, Cookie: cookie, Port: port}, err
}

func accept(listener int) (end, error) {
	fd, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
	if err != nil {
		return end{}, err
	}
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
	return end{FD: fd, Cookie: cookie}, err
}

// setByOwner sets as a program does.
func setByOwner(fd int, t tcpvet.Timers) error {
	now, err := timersOf(fd)
	if err != nil {
		return err
	}
	for _, c := range (&timersJob{to: t, set: ^timersSet(0)}).calls(now) {
		if err := c.set(fd); err != nil {
			return err
		}
	}
	return nil
}

func timersByOwner(fd int) (tcpvet.Timers, error) { return timersOf(fd) }

// holder is such a process as the test has it.
type holder struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *json.Decoder
	id  tcpvet.NetnsID
}

// holderOf starts one in the namespace of the test. change may alter the command.
func holderOf(t *testing.T, change func(*exec.Cmd)) *holder {
	t.Helper()
	h := &holder{t: t, cmd: kerneltest.Part("keepalive-ends")}
	if change != nil {
		change(h.cmd)
	}
	var err error
	if h.in, err = h.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if h.id, err = netns.Self(); err != nil {
		t.Fatal(err)
	}
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h.out = json.NewDecoder(out)
	t.Cleanup(h.end)
	h.do(order{Do: "timers"}) // it is up, and so the namespace can be found
	return h
}

func (h *holder) end() {
	h.in.Close()
	h.cmd.Wait()
}

func (h *holder) pid() int32 { return int32(h.cmd.Process.Pid) }

// do has the process do something.
func (h *holder) do(o order) (answer []end) {
	h.t.Helper()
	if err := json.NewEncoder(h.in).Encode(o); err != nil {
		h.t.Fatalf("%s: %v", o.Do, err)
	}
	if err := h.out.Decode(&answer); err != nil {
		h.t.Fatalf("%s: %v", o.Do, err)
	}
	return answer
}

// timers gives what the process itself reads, by cookie.
func (h *holder) timers() map[uint64]tcpvet.Timers {
	h.t.Helper()
	out := make(map[uint64]tcpvet.Timers)
	for _, e := range h.do(order{Do: "timers"}) {
		out[e.Cookie] = e.Timers
	}
	return out
}

// selection is of the sockets of a process in its namespace.
func selectionOf(t *testing.T, id tcpvet.NetnsID, pid int32) Selection {
	t.Helper()
	src, err := source.Open("netlink")
	if err != nil {
		t.Fatal(err)
	}
	return Selection{
		Source: src,
		Query:  source.Query{Netns: source.Namespaces{Names: []string{strconv.FormatUint(uint64(id), 10)}}},
		Match: func(s *tcpvet.Socket, _ func(tcpvet.Process) tcpvet.ProcessInfo) bool {
			return s.Holder.PID == pid
		},
	}
}

func (h *holder) options() KeepaliveOptions {
	return KeepaliveOptions{Selection: selectionOf(h.t, h.id, h.pid())}
}
