package tcpvet

import "time"

// Tally is what a Census knows of the sockets of one group.
type Tally struct {
	States [NumStates]uint32
	Mini   uint32 // of FIN-WAIT-2, those that nobody holds

	// CloseWait counts by kind; NoCloseWaitKind holds those whose queues
	// are not known. CloseWaitAge holds the least ages that are sure, by
	// kind, of those whose age is known; nil for none.
	CloseWait    [NumCloseWaitKinds]uint32
	CloseWaitAge *[NumCloseWaitKinds]Histogram

	// CloseWaitMost holds the most that those ages can be, or the time since
	// the process last wrote where that is less: it has not forgotten a
	// connection that it writes to. CloseWaitVague
	// counts the sockets whose age lies between two bounds, since something
	// may have moved what dates the FIN: see Socket.Age.
	CloseWaitMost    *[NumCloseWaitKinds]Histogram
	CloseWaitLongest time.Duration // the greatest in CloseWaitMost
	CloseWaitVague   Vague

	// FinWait2Quiet holds, of FIN-WAIT-2 that a process holds, how long ago
	// data last came in, of those that tell; nil for none.
	FinWait2Quiet *Histogram

	// Idle holds how long sockets in ESTAB have been idle; nil for none.
	Idle *IdleTally

	CloseWaitBorn Births // by the time of the FIN; without those whose age is vague and may be more
	TimeWaitBorn  Births // by the rest of the timer

	// Reusable counts the TIME-WAITs whose port the kernel would give again now, of
	// those whose Former is known.
	Reusable uint32

	QueuedBytes uint64 // sum of Recv-Q of sockets in CLOSE-WAIT and ESTAB, an unread FIN counted as 1

	Stalled   *StallTally // sockets that wait for a silent peer; nil for none
	Queued    *QueueTally // connections with data that is not read; nil for none
	Keepalive *Spans      // of ESTAB, KeepaliveAtLeast; nil for none

	// Shared counts, by process, the sockets that others hold too; nil for none.
	Shared map[Process]uint32

	// Oldest is the CLOSE-WAIT that has been so for longest, MostIdle the
	// ESTAB without keepalive that has been idle for longest; nil for none.
	Oldest, MostIdle *Exemplar
}

// Total is the number of sockets of the group.
func (t *Tally) Total() uint64 {
	var n uint64
	for _, c := range t.States {
		n += uint64(c)
	}
	return n
}

// Merge adds o to t.
func (t *Tally) Merge(o *Tally) {
	for s, c := range o.States {
		t.States[s] += c
	}
	t.Mini += o.Mini
	for k, c := range o.CloseWait {
		t.CloseWait[k] += c
	}
	if o.CloseWaitAge != nil {
		if t.CloseWaitAge == nil {
			t.CloseWaitAge = new([NumCloseWaitKinds]Histogram)
		}
		for k := range o.CloseWaitAge {
			t.CloseWaitAge[k].Merge(&o.CloseWaitAge[k])
		}
	}
	if o.CloseWaitMost != nil {
		if t.CloseWaitMost == nil {
			t.CloseWaitMost = new([NumCloseWaitKinds]Histogram)
		}
		for k := range o.CloseWaitMost {
			t.CloseWaitMost[k].Merge(&o.CloseWaitMost[k])
		}
	}
	t.CloseWaitLongest = max(t.CloseWaitLongest, o.CloseWaitLongest)
	t.CloseWaitVague.merge(o.CloseWaitVague)
	if o.FinWait2Quiet != nil {
		if t.FinWait2Quiet == nil {
			t.FinWait2Quiet = new(Histogram)
		}
		t.FinWait2Quiet.Merge(o.FinWait2Quiet)
	}
	if o.Idle != nil {
		if t.Idle == nil {
			t.Idle = new(IdleTally)
		}
		t.Idle.KeepaliveOn.Merge(&o.Idle.KeepaliveOn)
		t.Idle.KeepaliveOff.Merge(&o.Idle.KeepaliveOff)
		t.Idle.Unknown.Merge(&o.Idle.Unknown)
	}
	t.CloseWaitBorn.merge(o.CloseWaitBorn)
	t.TimeWaitBorn.merge(o.TimeWaitBorn)
	t.Reusable += o.Reusable
	t.QueuedBytes += o.QueuedBytes
	if o.Stalled != nil {
		if t.Stalled == nil {
			t.Stalled = new(StallTally)
		}
		t.Stalled.merge(o.Stalled)
	}
	if o.Queued != nil {
		if t.Queued == nil {
			t.Queued = new(QueueTally)
		}
		t.Queued.merge(o.Queued)
	}
	if o.Keepalive != nil {
		if t.Keepalive == nil {
			t.Keepalive = new(Spans)
		}
		t.Keepalive.Merge(o.Keepalive)
	}
	for p, n := range o.Shared {
		t.share(p, n)
	}
	t.Oldest = older(t.Oldest, o.Oldest)
	t.MostIdle = older(t.MostIdle, o.MostIdle)
}

func (t *Tally) share(p Process, n uint32) {
	if t.Shared == nil {
		t.Shared = make(map[Process]uint32)
	}
	t.Shared[p] += n
}

// Add counts the socket.
func (t *Tally) Add(s *Socket) {
	t.States[s.State]++
	if s.State == FinWait2 && s.Mini {
		t.Mini++
	}
	for _, p := range s.SharedWith {
		t.share(p, 1)
	}
	if s.Knows(FactTimer) {
		t.addTimer(s)
	}
	switch s.State {
	case CloseWait:
		t.addCloseWait(s)
	case FinWait2:
		if !s.Mini && s.Knows(FactInfo) {
			if t.FinWait2Quiet == nil {
				t.FinWait2Quiet = new(Histogram)
			}
			t.FinWait2Quiet.Add(s.Info.LastDataRecv)
		}
	case TimeWait:
		if age, ok := s.Age(); ok {
			t.TimeWaitBorn.Add(age.High)
		}
	case Established:
		t.addEstablished(s)
	}
}

func (t *Tally) addTimer(s *Socket) {
	switch {
	case s.Timer.Kind == TimerPersist:
		t.queue().addBlocked(s)
	case s.Timer.Retransmits > 0 && (s.Timer.Kind == TimerOn || s.Timer.Kind == TimerKeepalive && s.State == Established):
		if t.Stalled == nil {
			t.Stalled = new(StallTally)
		}
		t.Stalled.add(s)
	case s.Timer.Kind == TimerKeepalive && s.State == Established && s.Knows(FactInfo):
		if t.Keepalive == nil {
			t.Keepalive = new(Spans)
		}
		t.Keepalive.Add(KeepaliveAtLeast(s))
	}
}

func (t *Tally) queue() *QueueTally {
	if t.Queued == nil {
		t.Queued = new(QueueTally)
	}
	return t.Queued
}

func (t *Tally) addCloseWait(s *Socket) {
	kind := s.CloseWaitKind()
	t.CloseWait[kind]++
	if s.Knows(FactQueues) {
		t.QueuedBytes += uint64(s.RecvQ)
	}
	age, ok := s.Age()
	if !ok {
		return
	}
	if t.CloseWaitAge == nil {
		t.CloseWaitAge = new([NumCloseWaitKinds]Histogram)
		t.CloseWaitMost = new([NumCloseWaitKinds]Histogram)
	}
	t.CloseWaitAge[kind].Add(age.Low)
	most := max(age.Low, min(age.High, s.Info.LastDataSent))
	t.CloseWaitMost[kind].Add(most)
	t.CloseWaitLongest = max(t.CloseWaitLongest, most)
	if age.Low != age.High {
		t.CloseWaitVague.add(s)
	}
	t.CloseWaitBorn.Add(age.High)
	if t.Oldest == nil || age.Low > t.Oldest.Age.Low {
		t.Oldest = exemplar(s, age)
	}
}

func (t *Tally) addEstablished(s *Socket) {
	if s.Knows(FactQueues) {
		t.QueuedBytes += uint64(s.RecvQ)
		if s.RecvQ > 0 {
			t.queue().addUnread(s)
		}
	}
	age, ok := s.Age()
	if !ok {
		return
	}
	if t.Idle == nil {
		t.Idle = new(IdleTally)
	}
	switch on, known := s.Keepalive(); {
	case !known:
		t.Idle.Unknown.Add(age.Low)
	case on:
		t.Idle.KeepaliveOn.Add(age.Low)
	default:
		t.Idle.KeepaliveOff.Add(age.Low)
		if t.MostIdle == nil || age.Low > t.MostIdle.Age.Low {
			t.MostIdle = exemplar(s, age)
		}
	}
}
