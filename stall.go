package tcpvet

// StallTally counts sockets that wait for a peer which does not answer.
type StallTally struct {
	// Resent counts, by state, those whose segment was not acknowledged and
	// has been sent again, Twice those of them that sent it again at least
	// twice. Most is how often the one did that did it most.
	Resent, Twice [NumStates]uint32
	Most          [NumStates]uint8

	// Probed counts connections in ESTAB with keepalive probes that nobody
	// has answered yet, ProbedTwice those of them with at least two. They are
	// not in Resent.
	Probed, ProbedTwice uint32

	// Silent holds, of Twice in ESTAB, how long ago the last segment came
	// from the peer, of those that tell; SilentProbed that of ProbedTwice.
	Silent, SilentProbed Histogram

	// Longest is the one of Twice in ESTAB whose peer has been silent for
	// longest, LongestProbed that of ProbedTwice; nil for none.
	Longest, LongestProbed *Stall
}

// Stall is a connection that waits for its peer.
type Stall struct {
	Exemplar        // its Age is the time since the last segment came from the peer
	Timer    Timer  // what it waits for now, and how often it has tried
	Queued   uint32 // bytes sent and not acknowledged
}

func (t *StallTally) add(s *Socket) {
	silent, longest := &t.Silent, &t.Longest
	if s.Timer.Kind == TimerKeepalive {
		silent, longest = &t.SilentProbed, &t.LongestProbed
		t.Probed++
		if s.Timer.Retransmits > 1 {
			t.ProbedTwice++
		}
	} else {
		t.Resent[s.State]++
		if s.Timer.Retransmits > 1 {
			t.Twice[s.State]++
		}
		t.Most[s.State] = max(t.Most[s.State], s.Timer.Retransmits)
	}
	if s.State != Established || s.Timer.Retransmits < 2 || !s.Knows(FactInfo) {
		return
	}
	d := min(s.Info.LastAckRecv, s.Info.LastDataRecv)
	silent.Add(d)
	if *longest == nil || d > (*longest).Age.Low {
		*longest = &Stall{Exemplar: *exemplar(s, Age{d, d, AgeLastAck}), Timer: s.Timer, Queued: s.SendQ}
	}
}

func (t *StallTally) merge(o *StallTally) {
	for s := range o.Resent {
		t.Resent[s] += o.Resent[s]
		t.Twice[s] += o.Twice[s]
		t.Most[s] = max(t.Most[s], o.Most[s])
	}
	t.Probed += o.Probed
	t.ProbedTwice += o.ProbedTwice
	t.Silent.Merge(&o.Silent)
	t.SilentProbed.Merge(&o.SilentProbed)
	t.Longest = longer(t.Longest, o.Longest)
	t.LongestProbed = longer(t.LongestProbed, o.LongestProbed)
}

func longer(a, b *Stall) *Stall {
	if a == nil || b != nil && b.older(&a.Exemplar) {
		return b
	}
	return a
}
