package probe

import (
	"fmt"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// Reading is what follows from a measurement.
type Reading struct {
	Text      []string        // sentences, the first by itself enough
	Keepalive *tcpvet.Timers  // that stays inside of what was measured, nil for none
	Remedies  []tcpvet.Remedy // the best first
	Unknown   []string        // what it cannot tell, behind "cannot tell"
}

func (r *Reading) say(format string, args ...any) {
	r.Text = append(r.Text, fmt.Sprintf(format, args...))
}
func (r *Reading) doubt(format string, args ...any) {
	r.Unknown = append(r.Unknown, fmt.Sprintf(format, args...))
}

// Read says what was measured.
func (i *Idle) Read() Reading {
	var r Reading
	path, how, ok := i.Path()
	server, closes := i.Server()
	switch against := i.against(); {
	case !i.Measured() && i.Interrupted:
		r.say("Nothing was measured: it was ended before any connection was idle for long enough to be asked.")
	case !i.Measured() && i.Heard > 0:
		r.say("Nothing was measured: the server sent data when it was asked, from which an answer cannot be told.")
	case !i.Measured():
		r.say("Nothing was measured: no probe was seen to go out.")
	case i.leastLost() > 0 && i.Fresh == nil:
		r.say("Connections were lost after %s of silence. The measurement was ended before it was seen whether a new one is answered.", vet.Duration(i.leastLost()))
		r.doubt("whether it is the silence that does it: let it run to its end")
	case i.gone() && !i.answered() && i.firstLost().Fate != Silent:
		r.say("Every connection was ended by RST, even after %s, and a new one was not answered either: it is not silence that ends them.", vet.Duration(i.leastLost()))
		r.doubt("whether idle connections are forgotten: none was open for long enough; see first whether it answers at all: tcpvet probe keepalive %s", vet.Quote(i.Target))
	case i.gone() && !i.answered():
		r.say("No connection was known any more, not even after %s, and a new one was not answered either: keepalive probes get no answer there, or the server, or the way to it, went away meanwhile.", vet.Duration(i.leastLost()))
		r.doubt("whether idle connections are forgotten: nothing was answered, whatever its silence; see first whether it answers at all: tcpvet probe keepalive %s", vet.Quote(i.Target))
	case i.gone():
		r.say("Connections were lost after %s, and a new one was not answered either: the server, or the way to it, went away meanwhile.", vet.Duration(i.leastLost()))
		r.doubt("whether idle connections are forgotten: everything was lost, whatever its silence; measure again once the server answers: tcpvet why %s", vet.Quote(i.Target))
	case len(against) > 0:
		r.say("Connections were lost, but not by how long they were idle: one was after %s, and another was still known after %s.",
			vet.Duration(i.leastLost()), vet.Duration(against[len(against)-1].Silence.Low))
		r.doubt("which connections are lost: several servers or middleboxes behind one address, of which one is ill, look like this, and so does a full table on the way; measure again, and watch one: tcpvet trace")
	case i.leastLost() > 0 && !i.reached():
		r.say("Connections were lost after %s, and so was a new one, while others were answered.", vet.Duration(i.leastLost()))
		r.doubt("whether it is the silence that does it: the way loses segments, or the server is overloaded; measure again")
	case ok && path.Ended > 0:
		i.readLimit(&r, path, how)
	case ok && !closes:
		r.say("Every connection was still known: up to %s of silence nothing on the way to %s forgets one, nor does the server close it.", vet.Duration(path.Survived), i.Remote)
	case ok:
		r.say("Up to %s of silence nothing on the way to %s forgets a connection.", vet.Duration(path.Survived), i.Remote)
	}
	if closes {
		i.readServer(&r, server)
	}
	i.readBroken(&r)
	if ok {
		i.advise(&r, path)
	}
	i.doubts(&r, path, how, ok, closes)
	return r
}

func (i *Idle) readLimit(r *Reading, path Limit, how Fate) {
	between := fmt.Sprintf("between %s and %s", vet.Duration(path.Survived), vet.UpTo(path.Ended))
	if path.Survived == 0 {
		between = vet.UpTo(path.Ended) + " or less"
	}
	switch how {
	case Silent:
		r.say("A connection to %s is forgotten once it was silent for %s: what is sent then gets no answer, and this end takes it for open.", i.Remote, between)
	case ResetAsked:
		r.say("A connection to %s is forgotten once it was silent for %s: what is sent then is answered by RST.", i.Remote, between)
	case ResetIdle:
		r.say("A connection to %s is ended by an RST once it was silent for %s.", i.Remote, between)
	}
	r.say("A new connection was answered at that time, so it is the silence that does it.")
}

func (i *Idle) readServer(r *Reading, server Limit) {
	after := fmt.Sprintf("between %s and %s", vet.Duration(server.Survived), vet.UpTo(server.Ended))
	if server.Survived == 0 {
		after = vet.UpTo(server.Ended) + " or less"
	}
	on := "on which nothing is sent"
	if i.Wrote > 0 {
		on = "on which nothing more is sent"
	}
	r.say("The server closes a connection %s by itself, with a FIN, after %s without data: its own limit, and no middlebox's.", on, after)
	// Of a connection on which nothing was said it may be the time to say who one is.
	if i.Wrote > 0 && server.Survived >= 2*time.Second {
		idle := vet.Duration((server.Survived * 9 / 10).Truncate(time.Second))
		r.Remedies = append(r.Remedies, tcpvet.Advise{
			Code: true, Text: "let the client drop a connection that it has not used for " + idle + ", or raise the server's limit above the client's; TCP keepalive does not move it, for the server waits for data",
		})
	}
}

// readBroken tells of segments of the peer that came while nothing was to come.
func (i *Idle) readBroken(r *Reading) {
	silence, ok := i.Kept()
	if !ok {
		return
	}
	r.say("The server sent segments by itself meanwhile, keepalive probes it may be: no connection on which it did was silent for longer than %s.", vet.Duration(silence))
	r.doubt("what a longer silence meets: the server's own segments break it, and keep the way open too, as long as it sends them")
}

func (i *Idle) advise(r *Reading, path Limit) {
	t, ok := KeepaliveWithin(path.Survived)
	if i.Loopback || !ok || i.ownBreaks(path) {
		return
	}
	r.Keepalive = &t
	idle, interval := vet.ShellDuration(t.Idle), vet.ShellDuration(t.Interval)
	why := fmt.Sprintf("the first probe after half of the silence that was survived, so that one that is lost does no harm; a peer that is gone is noticed after %s", vet.Duration(t.Dead()))
	if path.Ended == 0 {
		why = "if connections are to be silent for longer than was measured: " + why
	}
	seconds := func(d time.Duration) string { return fmt.Sprintf("%.0f", d.Seconds()) }
	r.Remedies = append(r.Remedies,
		tcpvet.StartWith{Select: fmt.Sprintf("--keepalive %s,%s,%d -- COMMAND", idle, interval, t.Count), Why: why},
		tcpvet.SetKeepalive{Select: fmt.Sprintf("--idle %s --interval %s --count %d %s", idle, interval, t.Count, vet.ShellFilter(vet.Selection{Remote: i.Remote}.Filter())), Why: "the same for connections that are open already"})
	// What holds for the whole host wants a limit that was met.
	if path.Ended == 0 {
		return
	}
	r.Remedies = append(r.Remedies,
		tcpvet.SetSysctl{Name: "net.ipv4.tcp_keepalive_time", Value: seconds(t.Idle),
			Why: fmt.Sprintf("for programs that set SO_KEEPALIVE and no times; with it net.ipv4.tcp_keepalive_intvl=%s and net.ipv4.tcp_keepalive_probes=%d", seconds(t.Interval), t.Count)},
	)
}

func (i *Idle) doubts(r *Reading, path Limit, how Fate, ok, closes bool) {
	if i.Failed > 0 {
		r.doubt("what %s would have shown that could not be opened: %s", vet.Counted(i.Failed, "connection"), i.Why)
	}
	if !i.Measured() {
		return
	}
	if closes && i.Wrote == 0 {
		r.doubt("how long the server keeps a connection on which something was said: give --write, or for HTTP measure with tcpvet probe http")
	}
	if i.Interrupted {
		r.doubt("what a longer silence meets: the measurement was ended before its time")
	}
	switch {
	case i.Loopback:
		r.doubt("anything of a way: the connections did not leave this host")
		return
	case i.Interrupted || i.ownBreaks(path):
	case ok && path.Ended == 0 && closes:
		r.doubt("what the way does to a longer silence: the server closes first")
	case ok && path.Ended == 0:
		r.doubt("what a longer silence meets: give --most more than %s", vet.ShellDuration(i.Most))
	}
	if ok && path.Ended > 0 {
		if how == Silent {
			r.doubt("whether a middlebox drops what it has forgotten, or the server's host gave the connection up and is not let say so")
		} else {
			r.doubt("who sent the RST: a middlebox does so in the server's name, and a server's host that knows no such connection alike")
		}
	}
	if !ok {
		return
	}
	r.doubt("whether what the server sends first would arrive after such a silence: only this side asked, and a firewall that takes up a connection again in its middle (Linux does, by nf_conntrack_tcp_loose) shows no limit here")
}

// Read says what was measured.
func (a *Answers) Read() Reading {
	var r Reading
	switch a.Fate {
	case Answered:
		r.say("%s answers keepalive probes: %d of %d, the slowest within %s. A peer that is gone can be told from one that is silent.", a.Remote, a.Answered, a.Probes, vet.Duration(max(a.Slowest, time.Millisecond)))
		if a.Ended {
			r.say("Then it closed the connection (FIN), before more were sent.")
		}
		if a.Interrupted {
			r.doubt("whether it would go on to answer: it was ended before all probes were sent")
		}
		if !a.Loopback {
			r.doubt("who answered: the kernel at the other end of this TCP connection, which is a proxy or a balancer where there is one; what is behind it is not asked")
		}
	case Silent:
		r.say("%s took the connection and answers no keepalive probe: %s in %s stayed without an answer.", a.Remote, vet.Counted(a.Probes, "probe"), vet.Duration(a.Wait))
		r.say("With keepalive, connections to it would be ended though it is there, after idle + count x interval.")
		r.doubt("whether something on the way drops segments without data, or the peer was gone a second after the handshake: try again, and compare with tcpvet why %s", vet.Quote(a.Target))
		r.Remedies = append(r.Remedies, tcpvet.Advise{Code: true, Text: "let the protocol ask: a ping of its own (WebSocket, HTTP/2, the database's) is data, and is answered by the program"})
	case ResetAsked:
		r.say("%s took the connection and answered a keepalive probe by RST, after a second of silence.", a.Remote)
		r.doubt("who sent the RST: a middlebox that takes a probe for an attack, or a host that did not know the connection")
	case ResetIdle:
		r.say("%s took the connection and ended it by RST before it was asked anything.", a.Remote)
		r.doubt("whether it answers keepalive probes: it was not there to be asked")
	case Closed:
		r.say("%s took the connection and closed it (FIN) before a probe was answered.", a.Remote)
		r.doubt("whether it answers keepalive probes: servers that expect a request close what says nothing")
	default:
		r.say("%s was asked, and what came does not tell: it sent data at the same time.", a.Remote)
		r.doubt("whether it answers keepalive probes: try again, or against a service that does not speak by itself")
	}
	return r
}
