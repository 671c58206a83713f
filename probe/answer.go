package probe

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// Try is an attempt and why it ended as it did.
type Try struct {
	Attempt
	Verdict
}

// Answer is what became of a question why HOST:PORT does, or does not, connect.
type Answer struct {
	Target  string         // as it was asked for
	Bind    netip.AddrPort // the zero value for none
	Netns   tcpvet.NetnsID
	Process tcpvet.Process // in whose place it was tried, zero for none

	Origins []Origin // the addresses of the target, in the order in which they are tried
	Tries   []Try    // none where the target has no address
	Main    int      // of Tries, the one that Verdict is about

	Verdict
	Use    *vet.TupleUse // of the main one, as of just before; nil where not known
	Census *tcpvet.Census
}

// Connected tells whether every attempt at the address that decides did connect,
// and a process in that place could do the same.
func (a *Answer) Connected() bool { return len(a.Tries) > 0 && a.Cause == tcpvet.NoCause }

// Conclude chooses the attempt that decides: the first address that was reached, else
// the first that was tried; of several attempts at it the first that failed.
func (a *Answer) Conclude() {
	if len(a.Tries) == 0 {
		return
	}
	decides := a.Tries[0].Remote
	for i := range a.Tries {
		if a.Tries[i].Connected() {
			decides = a.Tries[i].Remote
			break
		}
	}
	tried, failed := 0, 0
	a.Main = -1
	for i := range a.Tries {
		t := &a.Tries[i]
		if t.Remote != decides {
			continue
		}
		tried++
		if t.Cause != tcpvet.NoCause {
			failed++
		}
		if a.Main < 0 || a.Tries[a.Main].Cause == tcpvet.NoCause {
			a.Main = i
		}
	}
	a.Verdict = a.Tries[a.Main].Verdict
	if failed > 0 && tried > 1 {
		a.Text = append([]string{fmt.Sprintf("%d of %d attempts failed.", failed, tried)}, a.Text...)
	}
}

// Resolution is how the addresses of a name were looked for.
type Resolution struct {
	Name    string
	Hosts   string   // the hosts file that was read
	Lines   int      // how many of its lines have the name as a word: also comments, and longer names
	Conf    string   // the resolv.conf that was read
	Servers []string // the DNS servers that were asked, none where the hosts file had it
	Err     string   // why no server answered, "" where one did
	Family  string   // "IPv4 " or "IPv6 " where only such an address will do
}

// NotFound says that a name has no address. No connection is tried then.
func NotFound(r Resolution) Verdict {
	v := Verdict{Cause: tcpvet.CauseNameNotFound}
	servers := strings.Join(r.Servers, ", ")
	if r.Err == "" {
		v.Text = []string{fmt.Sprintf("The name %s has no %saddress, so nothing was tried: %s gives none, and the DNS (%s) answers that there is none.", vet.Plain(r.Name), r.Family, r.Hosts, servers)}
	} else {
		v.Certainty = tcpvet.Likely
		v.Text = []string{fmt.Sprintf("No %saddress of the name %s could be found, so nothing was tried: %s gives none, and no DNS server gave an answer (%s: %s).", r.Family, vet.Plain(r.Name), r.Hosts, servers, vet.Plain(r.Err))}
	}
	v.Evidence = []tcpvet.Evidence{{
		What: "lines of the hosts file with that word", Got: vet.Count(r.Lines), Check: fmt.Sprintf("grep -cwiF -e %s %s", vet.Quote(r.Name), r.Hosts),
	}}
	if r.Family != "" {
		v.Evidence = nil // it may have one of the other family
	}
	v.Remedies = []tcpvet.Remedy{
		tcpvet.Advise{Text: "see which servers and which search domains are asked", Run: "cat " + r.Conf},
		tcpvet.Advise{Text: "where the name is a short one, write it in full: a container searches other domains than its host"},
	}
	return v
}
