package closewaitleak

import (
	"fmt"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// selection is what ss can select of the leak: it knows no processes.
func (l *leak) selection() vet.Selection {
	s := vet.Selection{State: tcpvet.CloseWait}
	if l.Role == tcpvet.Client {
		s.Remote = l.Service
	} else {
		s.Local = l.Service
	}
	return s
}

func (j *judgement) evidence(l *leak) []tcpvet.Evidence {
	var out []tcpvet.Evidence
	if enter, ok := vet.Enter(&j.Now, l.Netns, l.owner); ok {
		// The sum over a namespace holds what was folded too.
		what, got := "connections in CLOSE-WAIT there", vet.AtLeast(j.Now.GroupError, j.counts[place{l.Netns, l.Role, l.Service}])
		if !l.Service.IsValid() {
			what, got = "connections in CLOSE-WAIT in this namespace", vet.Count(j.totals[l.Netns])
		}
		out = append(out, tcpvet.Evidence{What: what + vet.OfEveryProcess(&j.Now), Got: got, Check: enter + l.selection().Count()})
	}
	// /proc/PID/fd is empty once the main thread has exited.
	if f := l.files; f != nil && !j.Now.Processes[l.owner].LeaderExited {
		out = append(out, tcpvet.Evidence{
			What: "open descriptors of " + vet.ProcessText(&j.Now, l.owner), Got: vet.Count(f.open),
			Check: fmt.Sprintf("ls /proc/%d/fd | wc -l", l.owner.PID),
		})
	}
	return out
}

// codeTexts say what to close, by the language of vet.Language.
var codeTexts = map[string]string{
	"python": "close the response or the session",
	"java":   "close the response, its entity and the client: try-with-resources",
	"node":   "consume or destroy the response, and destroy the agent",
	"php":    "close the handle, and end the worker after some requests",
	"ruby":   "finish the session, or open it with a block",
	"nginx":  "look for the module or script that keeps the connection: nginx itself closes what its peer has closed",
	"":       "close the response body, or the connection, in every path",
}

// startWith has a port come back once the peer's kernel has forgotten the connection,
// which it does in a minute unless it was told otherwise: the next probe draws an RST.
func (l *leak) startWith() tcpvet.Remedy {
	const forgotten = time.Minute
	within := forgotten + tcpvet.DefaultTimers().Idle
	why := "gives keepalive to what it opens from now on, until Ctrl-C: a port comes back within about " + vet.Duration(within) + " of the peer's close (not of a half-close), the descriptor never"
	if l.ports != nil {
		why += "; that keeps up with " + vet.PerSecond(float64(l.ports.Usable())/within.Seconds())
	}
	return tcpvet.StartWith{Select: fmt.Sprintf("--pid %d", l.owner.PID), Why: why + "; needs root"}
}

func (j *judgement) remedies(l *leak, info tcpvet.ProcessInfo) []tcpvet.Remedy {
	if l.unaccepted {
		return []tcpvet.Remedy{tcpvet.Advise{
			Code: true, Text: "make the process call accept() again: look for what blocks it, or for descriptors that ran out",
			Run: "tcpvet explain accept-queue-full",
		}}
	}
	out := []tcpvet.Remedy{tcpvet.Advise{Code: true, Text: codeTexts[vet.Language(info)], Run: vet.FixTopic(info)}}
	if l.owner.Known() {
		out = append(out, tcpvet.Advise{Code: true, Text: "see which line opens what is never closed; needs root", Run: fmt.Sprintf("tcpvet trace --leaks --pid %d", l.owner.PID)})
	}
	if enter, ok := vet.Enter(&j.Now, l.Netns, l.owner); ok && l.Role == tcpvet.Client && l.Service.IsValid() {
		out = append(out, tcpvet.Destroy{
			State: tcpvet.CloseWait,
			Select: vet.Narrow(vet.NetnsFlag(enter), l.owner, "--state close-wait", "--older-than "+vet.ShellDuration(j.Patience),
				vet.ShellFilter(l.selection().Filter())),
			Why: "frees ports, not descriptors; shows a plan, and needs root to apply it",
		})
		if l.owner.Known() {
			out = append(out, l.startWith())
		}
	}
	if l.owner.Known() {
		restart := "restart " + vet.ProcessText(&j.Now, l.owner)
		if info.Unit != "" {
			restart += " (" + vet.Plain(info.Unit) + ")"
		}
		out = append(out, tcpvet.Advise{Text: restart + ": that gives back its ports and its descriptors, until it leaks again", May: tcpvet.DropsConnections})
	}
	return out
}
