package leaktest

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// mostCalls is how many calls of a stack are shown.
const mostCalls = 12

// report tells of leaks, of those from one line that differ in their addresses alone
// once.
func (c *check) report(all []*leak) []string {
	var order []string
	groups := map[string][]*leak{}
	for _, l := range all {
		conn := l.conn()
		k := stateWords(l.state) + c.detail(l, time.Time{})
		switch _, _, known := l.callers(); {
		case known:
		case conn.Accepted:
			k += conn.Local.String()
		default:
			k += conn.Remote.String()
		}
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], l)
	}
	now := time.Now()
	texts := make([]string, len(order))
	for i, k := range order {
		texts[i] = c.headline(groups[k]) + c.detail(groups[k][0], now)
	}
	return texts
}

// headline is a line as go vet prints it.
func (c *check) headline(group []*leak) string {
	var b strings.Builder
	l := group[0]
	frames, caller, ok := l.callers()
	if ok {
		fmt.Fprintf(&b, "%s:%d: ", short(caller.File), caller.Line)
	}
	what, were := "connection", "was"
	if n := len(group); n > 1 {
		what, were = fmt.Sprintf("%d connections", n), "were"
	}
	fmt.Fprintf(&b, "%s%s %s left %s", what, between(group, ok), were, stateWords(l.state))
	if name, _ := testOf(frames); name != "" {
		fmt.Fprintf(&b, " by %s", name)
	} else if c.t != nil {
		fmt.Fprintf(&b, " during %s", c.t.Name())
	}
	return b.String()
}

// between gives the addresses that a group has in common.
func between(group []*leak, known bool) string {
	first := group[0].conn()
	alone := len(group) == 1
	switch {
	case !first.Remote.IsValid():
		return ""
	case first.Accepted && alone:
		return fmt.Sprintf(" accepted on %s from %s", first.Local, first.Remote)
	case first.Accepted:
		return fmt.Sprintf(" accepted on %s", first.Local)
	case alone && !known:
		return fmt.Sprintf(" from %s to %s", first.Local, first.Remote)
	case slices.ContainsFunc(group, func(l *leak) bool { return l.conn().Remote != first.Remote }):
		return fmt.Sprintf(" to %s and others", first.Remote)
	}
	return fmt.Sprintf(" to %s", first.Remote)
}

func stateWords(state string) string {
	switch state {
	case stateCloseWait:
		return "in CLOSE-WAIT (the peer has closed, nothing closed it here)"
	case stateClosed:
		return "with its descriptor open (a reset or a timeout ended the connection, nothing closed it here)"
	case "":
		return "open"
	}
	return "open (" + state + ")"
}

// detail is the indented lines below. Without a now it holds no times.
func (c *check) detail(l *leak, now time.Time) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, "\n\t"+format, args...) }
	ago := func(t time.Time) string {
		if now.IsZero() {
			return ""
		}
		return " " + now.Sub(t).Round(time.Millisecond).String() + " ago"
	}
	since := "the test"
	if c.t == nil {
		since = "the first test"
	}
	frames, _, ok := l.callers()
	switch {
	case l.entry == nil && l.opener == acceptedHere:
		line("accepted since %s began%s", since, ago(c.began))
	case l.entry == nil:
		line("opened outside the hooks of leaktest, since %s began%s", since, ago(c.began))
	case l.shared():
		line("the request at this line was given it last; %s opened it%s", opening(l), ago(l.entry.conn.Opened))
	default:
		line("opened%s through %s", ago(l.entry.conn.Opened), l.entry.conn.Hook)
		if !ok && slices.ContainsFunc(frames, func(f runtime.Frame) bool { return strings.HasPrefix(f.Function, httpDials) }) {
			line("net/http dialled it, for a request that the hook does not know: leaktest.Watch of the transport would tell the line")
		}
	}
	if words := l.use.words(l); words != "" {
		line("%s", words)
	}
	if l.silent > 0 && !now.IsZero() {
		line("the peer was heard last %s", ago(now.Add(-l.silent))[1:])
	}
	if len(l.fds) > 1 {
		line("%d descriptors refer to it: copies by File or dup are to be closed too", len(l.fds))
	}
	if l.other != nil {
		line("its other end is open in this process too%s", strings.TrimSuffix(" ("+l.other.state+")", " ()"))
	}
	if ok {
		writeCalls(&b, frames)
	}
	if l.entry == nil {
		waiters(&b, l)
	}
	if l.doubt != "" {
		line("not counted: %s", l.doubt)
	}
	return b.String()
}

// opening says who opened a connection that another request has now.
func opening(l *leak) string {
	if f, ok := l.entry.conn.Opener.Caller(); ok {
		return fmt.Sprintf("that at %s:%d", short(f.File), f.Line)
	}
	return "another"
}

// waiters shows the goroutines that wait on a connection which no hook knows.
func waiters(b *strings.Builder, l *leak) {
	if len(l.waiting) == 0 {
		if runtime.GOOS == "linux" {
			b.WriteString("\n\tno goroutine waits on it")
		}
		return
	}
	for _, g := range l.waiting {
		b.WriteString("\n\ta goroutine waits on it")
		if g.creator != "" {
			fmt.Fprintf(b, ", started by %s", g.creator)
		}
		if g.reads != 0 && l.use == useIdle {
			b.WriteString(": it is idle in the pool of an http.Transport, which CloseIdleConnections closes; leaktest.Watch would tell the line")
		}
		writeCalls(b, g.frames)
	}
}

// writeCalls writes a stack, from the innermost call that is not of the packages around
// connections, without what runs every program and every test.
func writeCalls(b *strings.Builder, frames []runtime.Frame) {
	n := 0
	for _, f := range frames {
		if n == 0 && around(f) || strings.HasPrefix(f.Function, "runtime.") || strings.HasPrefix(f.Function, "testing.") {
			continue
		}
		if n++; n > mostCalls {
			b.WriteString("\n\t…")
			return
		}
		fmt.Fprintf(b, "\n\t%s\n\t\t%s:%d", f.Function, f.File, f.Line)
	}
}

// around tells calls between a program and its sockets.
func around(f runtime.Frame) bool {
	for _, p := range [...]string{"runtime.", "internal/", "sync.", "io.", "bufio.", "net.", "net/http.", "net/http/httptrace.", "crypto/tls."} {
		if strings.HasPrefix(f.Function, p) {
			return true
		}
	}
	rest, ours := strings.CutPrefix(f.Function, "github.com/tcpvet/tcpvet/")
	return ours && !strings.HasSuffix(f.File, "_test.go") &&
		(strings.HasPrefix(rest, "leaktest.") || strings.HasPrefix(rest, "internal/opened.") || strings.HasPrefix(rest, "keepalive."))
}

// short gives a file as go vet does: from the directory of the package under test.
func short(file string) string {
	dir, err := os.Getwd()
	if err != nil {
		return file
	}
	if rel, err := filepath.Rel(dir, file); err == nil && !strings.HasPrefix(rel, "..") {
		return rel
	}
	return file
}
