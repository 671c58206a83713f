package scenarios

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet/internal/kernel"
	"github.com/tcpvet/tcpvet/lab"
)

// running is the need of tcpvet run, but for a cgroup 2: where that may be tcpvet run
// knows, and says so as it is started (lab.UnmetError).
var running = lab.Need{Name: "BPF and a cgroup 2 for tcpvet run, so root", Met: func() error {
	admin, err := kernel.HasCapability(unix.CAP_SYS_ADMIN)
	if err != nil {
		return err
	}
	bpf, err := kernel.HasCapability(unix.CAP_BPF)
	if err != nil {
		return err
	}
	net, err := kernel.HasCapability(unix.CAP_NET_ADMIN)
	if err != nil {
		return err
	}
	if !net || !bpf && !admin {
		return fmt.Errorf("%w: run as root", fs.ErrPermission)
	}
	err = kernel.BPFMaps()
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: run as root, outside of user namespaces", err)
	}
	return cmp.Or(err, kernel.BPFCgroupLinks())
}}

// racer is a client that makes requests beside others.
type racer struct {
	*lab.Process
	order leakOrder
	leaked
	over time.Time // when it had made them
}

// race has clients make their requests at the same time, and calls during now and then
// until all have.
func race(ctx context.Context, during func() error, racers ...*racer) error {
	var all sync.WaitGroup
	errs := make([]error, len(racers))
	for i, r := range racers {
		all.Go(func() {
			errs[i] = r.Cue(ctx, clientLeak, r.order, &r.leaked)
			r.over = time.Now()
		})
	}
	over := make(chan struct{})
	go func() {
		all.Wait()
		close(over)
	}()
	const pause = 100 * time.Millisecond
	for {
		select {
		case <-over:
			return errors.Join(errs...)
		case <-time.After(pause):
			if err := during(); err != nil {
				<-over
				return errors.Join(append(errs, err)...)
			}
		}
	}
}
