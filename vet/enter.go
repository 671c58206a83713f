package vet

import (
	"fmt"
	"strings"

	"github.com/tcpvet/tcpvet"
)

// Enter gives the words to put before a command so that it runs in a network
// namespace, "" for the namespace of the one who looked: "nsenter -t 4121 -n "
// by a process in it, near first of all, or "ip netns exec NAME ". ok is false
// where no way in is known.
func Enter(c *tcpvet.Census, ns tcpvet.NetnsID, near tcpvet.Process) (words string, ok bool) {
	if ns == 0 || ns == c.Self {
		return "", true
	}
	// /proc/PID/ns of a process without its main thread cannot be opened.
	if near.Known() && c.Processes[near].Netns == ns && !c.Processes[near].LeaderExited {
		return nsenter(near), true
	}
	if names := c.Netns[ns].Names; len(names) > 0 {
		return "ip netns exec " + Quote(names[0]) + " ", true
	}
	var first tcpvet.Process
	for p, info := range c.Processes {
		if info.Netns == ns && p.Known() && !info.LeaderExited && (!first.Known() || p.PID < first.PID) {
			first = p
		}
	}
	if !first.Known() {
		return "", false
	}
	return nsenter(first), true
}

func nsenter(p tcpvet.Process) string { return fmt.Sprintf("nsenter -t %d -n ", p.PID) }

// NetnsFlag gives for the words of Enter the flag of tcpvet that means the same
// namespace, "" for one's own.
func NetnsFlag(enter string) string {
	if pid, ok := strings.CutPrefix(enter, "nsenter -t "); ok {
		return "--netns pid:" + strings.TrimSuffix(pid, " -n ")
	}
	if name, ok := strings.CutPrefix(enter, "ip netns exec "); ok {
		return "--netns " + strings.TrimSuffix(name, " ") // quoted already
	}
	return ""
}

// Quote writes a word so that a shell takes it as it is.
func Quote(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.@%+=:/,") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
