package tcpvet

// StallTally counts sockets that wait for a peer which does not answer.
type StallTally struct {
	// Resent counts, by state, those whose segment was not acknowledged and
	// has been sent again, Twice those of them that sent it again at least
	// twice. Most is how often the one did that did it most.
	Resent, Twice [NumStates]uint32
	Most          [NumStates]uint8

	// Probed counts connections in ESTAB with keepalive probes that nobody
	// has answered yet. They are not in Resent.
	Probed uint32

	// Silent holds, of Resent in ESTAB and of Probed, how long ago the last
	// segment came from the peer, of those that tell.
	Silent Histogram

	Longest *Stall // the one in ESTAB whose peer has been silent for longest; nil for none
}

// Stall is a connection that waits for its peer.
type Stall struct {
	Exemplar        // its Age is the time since the last segment came from the peer
	Timer    Timer  // what it waits for now, and how often it has tried
	Queued   uint32 // bytes sent and not acknowledged
}

func (t *StallTally) add(s *Socket) {
	if s.Timer.Kind == TimerKeepalive {
		t.Probed++
	} else {
		t.Resent[s.State]++
		if s.Timer.Retransmits > 1 {
			t.Twice[s.State]++
		}
		t.Most[s.State] = max(t.Most[s.State], s.Timer.Retransmits)
	}
	if s.State != Established || !s.Knows(FactInfo) {
		return
	}
	silent := min(s.Info.LastAckRecv, s.Info.LastDataRecv)
	t.Silent.Add(silent)
	if t.Longest == nil || silent > t.Longest.Age.Low {
		t.Longest = &Stall{Exemplar: *exemplar(s, Age{silent, silent, AgeLastAck}), Timer: s.Timer, Queued: s.SendQ}
	}
}

func (t *StallTally) merge(o *StallTally) {
	for s := range o.Resent {
		t.Resent[s] += o.Resent[s]
		t.Twice[s] += o.Twice[s]
		t.Most[s] = max(t.Most[s], o.Most[s])
	}
	t.Probed += o.Probed
	t.Silent.Merge(&o.Silent)
	if t.Longest == nil || o.Longest != nil && o.Longest.older(&t.Longest.Exemplar) {
		t.Longest = o.Longest
	}
}
