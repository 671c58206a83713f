package main

import (
	"fmt"
	"strings"
	"time"
)

// traceBars are the most that following may take of what the load itself takes.
var traceBars = []struct {
	line string
	most float64
}{{traceEvents, 0.08}, {traceCount, 0.015}}

// tracePage renders population (t), and tells each figure that has a bar.
func tracePage(b *strings.Builder, r result, told func(line string, ok bool)) {
	b.WriteString("| followed by | runs | connections/s | nginx and wrk, us a connection | programs in the kernel | the reader | both |\n|---|--:|--:|--:|--:|--:|--:|\n")
	base := medianPer(r.Traced[traceNone], func(t traced) time.Duration { return t.Load })
	cost := func(line string) time.Duration {
		return medianPer(r.Traced[line], func(t traced) time.Duration { return t.Kernel + t.Reader })
	}
	for _, line := range []string{traceNone, traceEvents, traceJSON, traceCount} {
		runs := r.Traced[line]
		fmt.Fprintf(b, "| %s | %d | %d | %s | %s | %s | %.1f %% |\n", "`"+line+"`", len(runs),
			time.Second/max(medianPer(runs, func(t traced) time.Duration { return t.Wall }), 1),
			micros(medianPer(runs, func(t traced) time.Duration { return t.Load })),
			micros(medianPer(runs, func(t traced) time.Duration { return t.Kernel })),
			micros(medianPer(runs, func(t traced) time.Duration { return t.Reader })), 100*float64(cost(line))/float64(max(base, 1)))
	}
	if runs := r.Traced[traceEvents]; len(runs) > 0 {
		fmt.Fprintf(b, "\nBy the kernel's own statistics of programs, less the %d ns that these take of each run: as long as a program takes that does nothing.\n", runs[0].Clock.Nanoseconds())
	}
	b.WriteByte('\n')
	for _, bar := range traceBars {
		share := float64(cost(bar.line)) / float64(max(base, 1))
		told(fmt.Sprintf("`%s` takes %.1f %% of what nginx and wrk take for a connection, bar %.1f %%", bar.line, 100*share, 100*bar.most),
			base > 0 && cost(bar.line) > 0 && share <= bar.most)
	}
	whole := func(t traced) bool { return t.Lost == 0 && t.Opened == 2*t.Connections && t.Closed == 2*t.Connections }
	for _, t := range r.Traced[traceJSON] {
		told(fmt.Sprintf("%d connections in %.1f s: `%s` told %d ends opened, %d closed, %d times that events were lost",
			t.Connections, t.Wall.Seconds(), traceJSON, t.Opened, t.Closed, t.Lost), whole(t))
	}
}

// medianPer is the median of a time by connection.
func medianPer(runs []traced, of func(traced) time.Duration) time.Duration {
	costs := make([]cost, 0, len(runs))
	for _, t := range runs {
		costs = append(costs, cost{CPU: t.perConnection(of(t))})
	}
	return time.Duration(medianOf(costs, cpuOf))
}

func micros(d time.Duration) string { return fmt.Sprintf("%.2f", float64(d)/float64(time.Microsecond)) }
