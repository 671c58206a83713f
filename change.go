package tcpvet

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Change is one thing that a plan changes. It is comparable.
type Change struct {
	Target        Target
	Before, After Value
	Outcome       Outcome
	Reason        string // why the outcome is what it is, "" where it needs none
}

// Target is what a change is about: a socket (Cookie is set), a setting of a
// network namespace (Setting is), the line of a setting in a file (File is too),
// or what new sockets begin with (Run is).
type Target struct {
	Netns NetnsID

	// Of a socket. The cookie is what it is known by; the rest is for people.
	Cookie        uint64
	Inode         uint64 // 0 where no process holds it
	State         State  // when the plan was made
	Role          Role
	Local, Remote netip.AddrPort
	Holder        Process
	Comm          string // of the holder

	Setting string // dotted: "net.ipv4.tcp_tw_reuse"
	File    string // "/etc/sysctl.d/90-tcpvet.conf"

	Run string // the ID of a run, or the path of its cgroup
}

// Value is what a target has or is to have: of the fields the one that belongs to
// the kind of plan. It is comparable.
type Value struct {
	Timers Timers // of a socket whose keepalive is changed, and of a run
	State  State  // of a socket that is closed; Unconn for one that is gone
	Text   string // of a setting, and what else a run has
	Absent bool   // there is no such line, or no such run
}

// Timers are the keepalive and the user timeout of a socket (tcp(7)), as they are
// in effect: where the socket has no value of its own, the setting's.
type Timers struct {
	Keepalive   bool          // SO_KEEPALIVE
	Idle        time.Duration // TCP_KEEPIDLE, whole seconds, 1 to 32,767
	Interval    time.Duration // TCP_KEEPINTVL, whole seconds, 1 to 32,767
	Count       int           // TCP_KEEPCNT, 1 to 127
	UserTimeout time.Duration // TCP_USER_TIMEOUT, whole milliseconds; 0 for the kernel's own
}

// String gives the timers as people read them: "30s + 5 x 3s, user timeout 45s".
func (t Timers) String() string {
	s := "off"
	if t.Keepalive {
		s = fmt.Sprintf("%v + %d x %v", t.Idle, t.Count, t.Interval)
	}
	if t.UserTimeout != 0 {
		s += fmt.Sprintf(", user timeout %v", t.UserTimeout)
	}
	return s
}

// String gives the value as people read it.
func (v Value) String() string {
	var parts []string
	if v.Absent {
		parts = append(parts, "none")
	}
	if v.State != 0 {
		parts = append(parts, v.State.String())
	}
	if v.Timers != (Timers{}) {
		parts = append(parts, v.Timers.String())
	}
	if v.Text != "" {
		parts = append(parts, v.Text)
	}
	return strings.Join(parts, ", ")
}

// summary says what a change of something else than a socket does.
func (c *Change) summary() string {
	switch t := &c.Target; {
	case t.Run != "" && c.After.Absent:
		return "stop " + t.Run
	case t.Run != "":
		return "begin " + t.Run
	case t.File != "":
		return fmt.Sprintf("%s in %s", t.Setting, t.File)
	default:
		before, after := c.Before.String(), c.After.String()
		return fmt.Sprintf("%s %s -> %s", t.Setting, quoteEmpty(before), quoteEmpty(after))
	}
}

func quoteEmpty(s string) string {
	if s == "" {
		return `""`
	}
	return s
}

// Outcome says what became of a change.
type Outcome string

// The outcomes. The set is closed.
const (
	OutcomePlanned   Outcome = ""          // not tried; in the journal: interrupted, may or may not have been applied
	OutcomeApplied   Outcome = "applied"   // it is as After says
	OutcomeUndone    Outcome = "undone"    // it is again as it was
	OutcomeGone      Outcome = "gone"      // the target went by itself
	OutcomeUnchanged Outcome = "unchanged" // it was so already
	OutcomeRefused   Outcome = "refused"   // by tcpvet or by the kernel, before anything was changed
	OutcomeFailed    Outcome = "failed"    // it was tried
)

// ParseOutcome reads the word of an outcome, "" among them.
func ParseOutcome(word string) (Outcome, error) {
	switch o := Outcome(word); o {
	case OutcomePlanned, OutcomeApplied, OutcomeUndone, OutcomeGone, OutcomeUnchanged, OutcomeRefused, OutcomeFailed:
		return o, nil
	}
	return "", fmt.Errorf("parse outcome %.40q: expected applied, undone, gone, unchanged, refused or failed", word)
}
