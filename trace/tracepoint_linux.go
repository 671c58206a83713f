package trace

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// needTracefs is what kernel.TracepointIDs needs where it is forbidden.
const needTracefs = "CAP_SYS_ADMIN and CAP_DAC_READ_SEARCH, or a tracefs that it may read (mount -t tracefs tracefs /sys/kernel/tracing)"

// attachTracepoint runs the program at the tracepoint that kernel.TracepointIDs gave
// the number of, on every processor.
func attachTracepoint(id uint64, program *ebpf.Program) (link.Link, error) {
	fd, err := unix.PerfEventOpen(&unix.PerfEventAttr{Type: unix.PERF_TYPE_TRACEPOINT, Config: id, Sample: 1, Wakeup: 1},
		-1, 0, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("open perf event: %w", err)
	}
	l, err := link.AttachRawLink(link.RawLinkOptions{Target: fd, Program: program, Attach: ebpf.AttachPerfEvent})
	unix.Close(fd) // the link keeps it
	return l, err
}
