package source_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kernel"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/owner"
	"github.com/tcpvet/tcpvet/source"
	"github.com/tcpvet/tcpvet/source/sourcetest"
)

// remember has the kernel remember who closes sockets until the function is called, in
// a namespace of the test's own.
func remember(t *testing.T) (end func()) {
	t.Helper()
	kerneltest.Root(t)
	kerneltest.Need(t, kernel.BTF)
	kerneltest.Need(t, kernel.BPFMaps)
	kerneltest.Netns(t)
	kerneltest.BPFFS(t)
	// By its processes a namespace is found.
	inside := exec.Command(kerneltest.Tool(t, "sleep"), "1000")
	must(t, inside.Start())
	t.Cleanup(func() { _ = inside.Process.Kill(); _ = inside.Wait() })
	k, err := owner.Keep(owner.Options{})
	must(t, err)
	end = func() { must(t, k.Close()) }
	t.Cleanup(func() { k.Close() })
	return end
}

// resting is what was closed, by its client first, whose cookie it has.
type resting struct {
	closer tcpvet.Process
	comm   string
	ended  bool
}

// rest closes a connection, and has a process that ends close another one.
func rest(t *testing.T) map[uint64]resting {
	t.Helper()
	closed := make(map[uint64]resting)
	cookie := func(fd int) uint64 {
		n, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
		must(t, err)
		return n
	}
	fds, err := connected()
	must(t, err)
	me, err := os.ReadFile("/proc/self/comm")
	must(t, err)
	closed[cookie(fds[1])] = resting{identify(t, os.Getpid()), string(me[:len(me)-1]), false}
	must(t, unix.Close(fds[1]))
	must(t, unix.Close(fds[2]))

	pair, err := connect(fds[0])
	must(t, err)
	number := cookie(pair[0])
	client := os.NewFile(uintptr(pair[0]), "client")
	cmd := exec.Command(kerneltest.Tool(t, "sleep"), "1000")
	cmd.ExtraFiles = []*os.File{client}
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	closed[number] = resting{identify(t, cmd.Process.Pid), "sleep", true}
	must(t, client.Close())
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	must(t, unix.Close(pair[1]))
	must(t, unix.Close(fds[0]))
	return closed
}

// identify reads when a process started: field 22 of its stat, behind the name in
// parentheses (proc_pid_stat(5)).
func identify(t *testing.T, pid int) tcpvet.Process {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	must(t, err)
	start, err := strconv.ParseUint(strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))[19], 10, 64)
	must(t, err)
	return tcpvet.Process{PID: int32(pid), Start: start}
}

// resters looks at what is in TIME-WAIT until all that were closed are.
func resters(t *testing.T, src source.Source, want tcpvet.Facts, closed map[uint64]resting) *rester {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		r := &rester{processes: make(map[tcpvet.Process]tcpvet.ProcessInfo), closed: closed}
		must(t, src.Look(t.Context(), source.Query{Want: want, Netns: source.Namespaces{Names: []string{ownNetns(t)}}}, r))
		if len(r.found) == len(closed) {
			return r
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d sockets are in TIME-WAIT", len(r.found), len(closed))
		}
	}
}

// rester keeps the sockets that were closed and are in TIME-WAIT, and what was told of
// processes before them.
type rester struct {
	tcpvet.Observer
	processes map[tcpvet.Process]tcpvet.ProcessInfo
	closed    map[uint64]resting
	found     []tcpvet.Socket
	gaps      []tcpvet.Gap
	untold    []tcpvet.Process
}

func (r *rester) Host(tcpvet.Host)   {}
func (r *rester) Netns(tcpvet.Netns) {}
func (r *rester) Changed(uint64)     {}
func (r *rester) Gap(g tcpvet.Gap)   { r.gaps = append(r.gaps, g) }
func (r *rester) Process(p tcpvet.Process, info tcpvet.ProcessInfo) {
	r.processes[p] = info
}
func (r *rester) Socket(s *tcpvet.Socket) error {
	if _, ok := r.closed[s.Cookie]; ok && s.State == tcpvet.TimeWait {
		r.found = append(r.found, *s)
		if _, told := r.processes[s.Former]; s.Former.Known() && !told {
			r.untold = append(r.untold, s.Former)
		}
	}
	return nil
}

// What is in TIME-WAIT is put down to who closed it, whether that process lives or not;
// nobody holds it all the same.
func TestRootRemembered(t *testing.T) {
	end := remember(t)
	closed := rest(t)
	for _, s := range []struct {
		name string
		open opener
	}{
		{"netlink", live("netlink")},
		{"bpf", withBPF},
		{"auto", live("auto")},
		{"snapshot", saved(live("netlink"), false)},
	} {
		r := resters(t, s.open(t), everything, closed)
		for _, f := range r.found {
			want := closed[f.Cookie]
			info := r.processes[f.Former]
			if f.Holder != tcpvet.Nobody || f.Former != want.closer || info.Comm != want.comm || info.Ended != want.ended {
				t.Errorf("%s: held by %v, closed by %v %q, ended %v; it was closed by %+v", s.name, f.Holder, f.Former, info.Comm, info.Ended, want)
			}
		}
		if len(r.untold) > 0 {
			t.Errorf("%s: of %v nothing was told before their sockets", s.name, r.untold)
		}
		if slices.ContainsFunc(r.gaps, func(g tcpvet.Gap) bool { return g.What == "owners of TIME-WAIT" }) {
			t.Errorf("%s: %v", s.name, r.gaps)
		}
	}
	unremembered := func(name string, src source.Source, want tcpvet.Facts) {
		for _, f := range resters(t, src, want, closed).found {
			if f.Former != tcpvet.Nobody {
				t.Errorf("%s: %v closed it", name, f.Former)
			}
		}
	}
	unremembered("not asked", live("netlink")(t), everything&^ofHolders)
	end()
	unremembered("forgotten", live("netlink")(t), everything)
	unremembered("forgotten", withBPF(t), everything)
}

const ofHolders = tcpvet.FactHolders | tcpvet.FactContainers | tcpvet.FactLimits | tcpvet.FactTableless | tcpvet.FactHosts

// A Census has a group for each process that closed, by whatever it is taken, and knows
// how many of its ports are free again. The kernel counts the rest as it does otherwise.
func TestRootRememberedCensus(t *testing.T) {
	remember(t)
	must(t, os.WriteFile("/proc/sys/net/ipv4/tcp_tw_reuse", []byte("1"), 0))
	closed := rest(t)
	resters(t, live("netlink")(t), everything, closed)
	defer source.WithoutStreaming()()
	for _, kind := range []string{"netlink", "bpf", "auto"} {
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			c, err := source.Take(t.Context(), live(kind)(t), source.Query{
				Want: everything, Netns: source.Namespaces{Names: []string{ownNetns(t)}},
			}, source.TakeOptions{})
			must(t, err)
			found, reusable := make(map[tcpvet.Process]uint32), uint32(0)
			for g, tally := range c.Groups {
				if g.Holder == tcpvet.Nobody {
					found[g.Former] += tally.States[tcpvet.TimeWait]
					reusable += tally.Reusable
				}
			}
			for _, want := range closed {
				if found[want.closer] != 1 || c.Processes[want.closer].Comm != want.comm {
					t.Fatalf("%s: %v closed %d; all are %v", kind, want.closer, found[want.closer], found)
				}
			}
			// They can be reused when they are a second old.
			if reusable == uint32(len(closed)) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %d of %d can be reused", kind, reusable, len(closed))
			}
		}
	}
}

// What is remembered changes nothing else of what a source tells.
func TestRootConformRemembered(t *testing.T) {
	for _, kind := range []string{"netlink", "procfs", "bpf"} {
		t.Run(kind, func(t *testing.T) {
			remember(t)
			sourcetest.Conform(t, live(kind))
		})
	}
}
