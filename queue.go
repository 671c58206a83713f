package tcpvet

// QueueTally counts connections with data that is not read, here or by the peer.
type QueueTally struct {
	// Unread holds, of connections in ESTAB with data in Recv-Q, for how long
	// none came and the process wrote none either, of those that tell. Sockets
	// and Bytes count all of them.
	Unread          Histogram
	Sockets         uint32
	Bytes           uint64
	LongestUnread   *Exemplar
	LongestUnreadOf uint32 // its Recv-Q, bytes

	// Blocked holds, of connections whose peer has no room (its window is 0,
	// and it is probed), how long ago data was last sent, of those that
	// tell. BlockedSockets and BlockedBytes (Send-Q) count all of them.
	Blocked          Histogram
	BlockedSockets   uint32
	BlockedBytes     uint64
	LongestBlocked   *Exemplar
	LongestBlockedOf uint32 // its Send-Q, bytes
}

func (t *QueueTally) addUnread(s *Socket) {
	t.Sockets++
	t.Bytes += uint64(s.RecvQ)
	if !s.Knows(FactInfo) {
		return
	}
	age, _ := s.Age()
	d := age.Low
	t.Unread.Add(d)
	if t.LongestUnread == nil || d > t.LongestUnread.Age.Low {
		t.LongestUnread, t.LongestUnreadOf = exemplar(s, age), s.RecvQ
	}
}

func (t *QueueTally) addBlocked(s *Socket) {
	t.BlockedSockets++
	if s.Knows(FactQueues) {
		t.BlockedBytes += uint64(s.SendQ)
	}
	if !s.Knows(FactInfo) {
		return
	}
	d := s.Info.LastDataSent
	t.Blocked.Add(d)
	if t.LongestBlocked == nil || d > t.LongestBlocked.Age.Low {
		t.LongestBlocked, t.LongestBlockedOf = exemplar(s, Age{d, d, AgeLastSent}), s.SendQ
	}
}

func (t *QueueTally) merge(o *QueueTally) {
	t.Unread.Merge(&o.Unread)
	t.Sockets += o.Sockets
	t.Bytes += o.Bytes
	if o.LongestUnread != nil && (t.LongestUnread == nil || o.LongestUnread.older(t.LongestUnread)) {
		t.LongestUnread, t.LongestUnreadOf = o.LongestUnread, o.LongestUnreadOf
	}
	t.Blocked.Merge(&o.Blocked)
	t.BlockedSockets += o.BlockedSockets
	t.BlockedBytes += o.BlockedBytes
	if o.LongestBlocked != nil && (t.LongestBlocked == nil || o.LongestBlocked.older(t.LongestBlocked)) {
		t.LongestBlocked, t.LongestBlockedOf = o.LongestBlocked, o.LongestBlockedOf
	}
}
