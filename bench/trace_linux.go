package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// Population (t): what following each connection costs, beside what nginx and wrk
// spend on it. Throughput is told and has no bar: on shared processors it is noise.
const (
	traceEvents = "tcpvet trace"
	traceJSON   = "tcpvet trace -o jsonl"
	traceCount  = "tcpvet trace --summary"
	traceNone   = "nothing"

	served   = "127.0.0.1:8080"
	loadFor  = 2 * time.Second
	loadLine = "wrk -t1 -c32 -d%ds -H Connection:close http://" + served + "/"
)

// traced is one run of the load with something following it.
type traced struct {
	Connections int
	Wall        time.Duration
	Load        time.Duration // CPU of nginx and wrk, programs in the kernel included
	Kernel      time.Duration // of that, of programs that the tracer loaded, without Runs times Clock
	Runs        uint64        // of those programs
	Clock       time.Duration // what measuring itself adds to a run
	Reader      time.Duration // CPU of the tracer while the load ran
	Opened      int           // events of that kind that it told
	Closed      int
	Lost        int
}

// perConnection divides.
func (t traced) perConnection(d time.Duration) time.Duration { return d / time.Duration(t.Connections) }

const nginxConfig = `user root;
daemon off;
master_process off;
pid nginx.pid;
error_log stderr;
events { worker_connections 1024; }
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server { listen ` + served + ` backlog=1024; keepalive_timeout 0; location / { return 200 "stock\n"; } }
}
`

// traceLoad serves the load, and follows it in every way in turn.
func (s *stage) traceLoad(ctx context.Context, rounds int) (map[string][]traced, error) {
	nginx, err := s.serve(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		nginx.Process.Kill()
		nginx.Wait()
	}()
	stats, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
	if err != nil {
		return nil, fmt.Errorf("measure what programs in the kernel take: %w", err)
	}
	defer stats.Close()
	clock, err := newClock()
	if err != nil {
		return nil, err
	}
	defer clock.close()
	all := map[string][]traced{}
	for range rounds {
		for _, line := range []string{traceNone, traceEvents, traceCount, traceJSON} {
			t, err := s.traceOnce(ctx, line, nginx.Process.Pid)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", line, err)
			}
			all[line] = append(all[line], t)
		}
	}
	perRun, err := clock.perRun()
	if err != nil {
		return nil, err
	}
	for line, runs := range all {
		for i := range runs {
			runs[i].Clock = perRun
			runs[i].Kernel -= min(runs[i].Kernel, time.Duration(runs[i].Runs)*perRun)
		}
		all[line] = runs
	}
	return all, nil
}

// serve starts nginx in a folder of its own and waits until it answers.
func (s *stage) serve(ctx context.Context) (*exec.Cmd, error) {
	dir := filepath.Join(s.Tools, "nginx")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(config, []byte(nginxConfig), 0o644); err != nil {
		return nil, err
	}
	var errs bytes.Buffer
	cmd := exec.CommandContext(ctx, "nginx", "-e", "stderr", "-p", dir, "-c", config)
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start nginx (Debian package nginx-light): %w", err)
	}
	for range 200 {
		c, err := net.Dial("tcp", served)
		if err == nil {
			return cmd, c.Close()
		}
		time.Sleep(20 * time.Millisecond)
	}
	cmd.Process.Kill()
	cmd.Wait()
	return nil, fmt.Errorf("nginx does not listen on %s: %s", served, errs.String())
}

// traceOnce runs the load while line follows it.
func (s *stage) traceOnce(ctx context.Context, line string, nginx int) (t traced, err error) {
	before, err := programs()
	if err != nil {
		return t, err
	}
	said := new(eventCount)
	stop := func() error { return nil }
	tracer := 0
	if line != traceNone {
		cmd := s.shell(ctx, line)
		var errs bytes.Buffer
		if cmd.Stderr = &errs; line == traceJSON {
			cmd.Stdout = said
		}
		if err := cmd.Start(); err != nil {
			return t, err
		}
		tracer = cmd.Process.Pid
		stop = func() error {
			cmd.Process.Signal(os.Interrupt)
			if err := cmd.Wait(); err != nil {
				return fmt.Errorf("%w: %s", err, errs.String())
			}
			return nil
		}
		if err := following(before); err != nil {
			return t, errors.Join(err, stop())
		}
	}
	t, err = s.load(ctx, nginx, tracer, before)
	// The last connections close once their FINs are acknowledged; what happened is
	// told at the next reading of the ring at the latest.
	if err := errors.Join(err, s.settled(), stop()); err != nil {
		return t, err
	}
	t.Opened, t.Closed, t.Lost = said.opened, said.closed, said.lost
	return t, nil
}

// load runs wrk and measures.
func (s *stage) load(ctx context.Context, nginx, tracer int, before map[ebpf.ProgramID]bool) (t traced, err error) {
	opens, err1 := activeOpens()
	server, err2 := cpuTime(nginx)
	kernel, runs, err3 := runTime(before)
	reader, err4 := cpuTime(tracer)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return t, err
	}
	args := strings.Fields(fmt.Sprintf(loadLine, int(loadFor.Seconds())))
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	began := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		return t, fmt.Errorf("run wrk (Debian package wrk): %w: %s", err, out)
	}
	t.Wall = time.Since(began)
	opens2, err1 := activeOpens()
	server2, err2 := cpuTime(nginx)
	kernel2, runs2, err3 := runTime(before)
	reader2, err4 := cpuTime(tracer)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return t, err
	}
	t.Connections = opens2 - opens
	if t.Connections <= 0 {
		return t, errors.New("the load opened no connection")
	}
	t.Load = server2 - server + cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	t.Kernel, t.Runs, t.Reader = kernel2-kernel, runs2-runs, reader2-reader
	return t, nil
}

// settled waits until nothing is open but the listener, and a reading of the ring
// longer.
func (s *stage) settled() error {
	for range 200 {
		text, err := os.ReadFile("/proc/net/sockstat")
		if err != nil {
			return err
		}
		if strings.Contains(string(text), "\nTCP: inuse 1 orphan 0 ") {
			time.Sleep(200 * time.Millisecond)
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return errors.New("wait for the last connections to close: some are open after 10 s")
}

// cpuTime is what the threads of a process have run, 0 for no process:
// /proc/PID/task/*/schedstat, in nanoseconds.
func cpuTime(pid int) (time.Duration, error) {
	if pid == 0 {
		return 0, nil
	}
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(files) == 0 {
		return 0, fmt.Errorf("read the times of process %d: it is gone (%v)", pid, err)
	}
	var sum time.Duration
	for _, f := range files {
		text, err := os.ReadFile(f)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue
		}
		if err != nil {
			return 0, err
		}
		first, _, _ := strings.Cut(string(text), " ")
		ns, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read %s: %w", f, err)
		}
		sum += time.Duration(ns)
	}
	return sum, nil
}

// activeOpens is the namespace's own count of connect() that sent a SYN
// (RFC 4022, tcpActiveOpens).
func activeOpens() (int, error) {
	text, err := os.ReadFile("/proc/net/snmp")
	if err != nil {
		return 0, err
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] != "Tcp:" {
			continue
		}
		if names == nil {
			names = f
			continue
		}
		if i := slices.Index(names, "ActiveOpens"); i > 0 && i < len(f) {
			return strconv.Atoi(f[i])
		}
	}
	return 0, errors.New("read /proc/net/snmp: no ActiveOpens")
}

// eventCount counts the lines of JSON that a tracer prints.
type eventCount struct {
	opened, closed, lost int
	rest                 []byte
}

func (c *eventCount) Write(b []byte) (int, error) {
	n := len(b)
	b = append(c.rest, b...)
	for {
		line, more, ok := bytes.Cut(b, []byte{'\n'})
		if !ok {
			break
		}
		switch {
		case bytes.Contains(line, []byte(`"kind":"open"`)):
			c.opened++
		case bytes.Contains(line, []byte(`"kind":"close"`)):
			c.closed++
		case bytes.Contains(line, []byte(`"kind":"lost"`)):
			c.lost++
		}
		b = more
	}
	c.rest = append([]byte(nil), b...)
	return n, nil
}
