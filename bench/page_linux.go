package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// page renders docs/benchmarks.md, and lists what was missed.
func page(now time.Time, results []result) (text string, missed []string) {
	var b strings.Builder
	b.WriteString("# Benchmarks\n\nWritten by `go run ./bench`; see there how it measures. Do not edit.\n\n")
	fmt.Fprintf(&b, "%s. %s\n\n", now.UTC().Format("2 January 2006"), machine())
	b.WriteString("CPU is user and system time of the whole command and its children; each figure is the median of its runs, which took turns.\n\n")
	fmt.Fprintf(&b, "`%s` need not read every socket: while nothing moves, the kernel's counters give it ESTAB and TIME-WAIT. ", count)
	b.WriteString("So its figures under (a), (b), (d) and (e) are those of a host at rest; (s) is a host where connections come and go. ")
	fmt.Fprintf(&b, "`%s` reads each socket on any host, as `ss` does, and groups them all.\n", countEach)

	for _, r := range results {
		i := slices.IndexFunc(populations, func(p population) bool { return p.letter == r.Letter })
		fmt.Fprintf(&b, "\n## (%s) %s\n\n%d sockets when measuring began, %d when it ended.\n\n", r.Letter, populations[i].title, r.Began, r.Ended)
		if r.Traced == nil {
			costTable(&b, populations[i].commands, r)
		}
		for _, c := range r.Checks {
			fmt.Fprintf(&b, "- %s: %s, want %s: **%s**\n", c.What, c.Got, c.Want, verdict(c.OK))
			if !c.OK {
				missed = append(missed, fmt.Sprintf("(%s) %s: %s, want %s", r.Letter, c.What, c.Got, c.Want))
			}
		}
		told := func(line string, ok bool) {
			fmt.Fprintf(&b, "- %s: **%s**\n", line, verdict(ok))
			if !ok {
				missed = append(missed, fmt.Sprintf("(%s) %s", r.Letter, strings.ReplaceAll(line, "`", "")))
			}
		}
		if r.Traced != nil {
			tracePage(&b, r, told)
		}
		for _, bar := range bars {
			if bar.letter == r.Letter {
				told(bar.judge(r))
			}
		}
		for _, limit := range limits {
			if limit.letter == r.Letter {
				told(limit.judge(r))
			}
		}
	}
	return b.String(), missed
}

// costTable renders what each command took.
func costTable(b *strings.Builder, commands []command, r result) {
	b.WriteString("| command | runs | CPU ms | wall ms | resident MB |\n|---|--:|--:|--:|--:|\n")
	for _, c := range commands {
		spent := r.Costs[c.text]
		fmt.Fprintf(b, "| `%s` | %d | %s | %s | %.1f |\n", strings.ReplaceAll(c.text, "|", "\\|"), len(spent),
			millis(medianOf(spent, cpuOf)), millis(medianOf(spent, wallOf)), float64(medianOf(spent, rssOf))/1e6)
	}
	b.WriteByte('\n')
}

// judge tells whether the median of a command keeps to the limit.
func (l limit) judge(r result) (line string, ok bool) {
	got := medianOf(r.Costs[l.of], l.cost)
	return fmt.Sprintf("%s of `%s`, at most %s", l.what, l.of, l.text), got > 0 && got <= l.most
}

func verdict(ok bool) string {
	if ok {
		return "reached"
	}
	return "missed"
}

// judge compares the medians of two commands.
func (b bar) judge(r result) (line string, ok bool) {
	of, what := cpuOf, "CPU"
	if b.wall {
		of, what = wallOf, "wall time"
	}
	mine, theirs := medianOf(r.Costs[b.of], of), medianOf(r.Costs[b.to], of)
	if mine == 0 || theirs == 0 {
		return fmt.Sprintf("`%s` beside `%s`: not measured", b.of, b.to), false
	}
	share := float64(mine) / float64(theirs)
	return fmt.Sprintf("%s of `%s` is %s that of `%s`, bar %s", what, b.of, times(share), b.to, times(b.most)), share <= b.most
}

// times writes a ratio so that a small one can be read: 1/31, 1.4 times.
func times(share float64) string {
	if share < 0.75 {
		return fmt.Sprintf("1/%.1f", 1/share)
	}
	return fmt.Sprintf("%.2f times", share)
}

func millis(ns int64) string { return fmt.Sprintf("%.1f", float64(ns)/1e6) }

func cpuOf(c cost) int64  { return int64(c.CPU) }
func wallOf(c cost) int64 { return int64(c.Wall) }
func rssOf(c cost) int64  { return c.RSS }

// medianOf gives the middle value, the mean of the two middle ones of an even
// number, 0 of none.
func medianOf(costs []cost, of func(cost) int64) int64 {
	values := make([]int64, 0, len(costs))
	for _, c := range costs {
		values = append(values, of(c))
	}
	slices.Sort(values)
	n := len(values)
	if n == 0 {
		return 0
	}
	return (values[(n-1)/2] + values[n/2]) / 2
}

// machine tells what the figures were measured on.
func machine() string {
	var u unix.Utsname
	unix.Uname(&u)
	model := "unknown processor"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	var info unix.Sysinfo_t
	unix.Sysinfo(&info)
	ss, _ := exec.Command("ss", "-V").Output()
	return fmt.Sprintf("Linux %s, %d × %s, %.0f GB, %s, %s.", unix.ByteSliceToString(u.Release[:]), runtime.NumCPU(), model,
		float64(info.Totalram)*float64(info.Unit)/1e9, runtime.Version(), strings.TrimSpace(string(ss)))
}
