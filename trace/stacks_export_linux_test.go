package trace

// KnowsGo tells whether the kernel was told where a process has its goroutines.
func (s *Stacks) KnowsGo(pid int) bool {
	b, err := s.objects.Gos.LookupBytes(int32(pid))
	return err == nil && b != nil
}

// Distinct counts the stacks that are kept.
func (s *Stacks) Distinct() (n int) {
	var id uint64
	var b []byte
	for it := s.objects.Stacks.Iterate(); it.Next(&id, &b); n++ {
	}
	return n
}

// MissCloses lets the kernel see no connection close, as if it were busy with others.
func (s *Stacks) MissCloses() error { return s.links[0].Close() }

// Sweep does what is done every 10 s, which then is done by it alone.
func (s *Stacks) Sweep() error {
	s.sweeper.end()
	return s.sweep()
}

// SweepAgain tells whether the next Sweep looks, whatever happens until then.
func (s *Stacks) SweepAgain() *bool { return &s.sweeper.again }

// Openings counts the connections that are remembered.
func (s *Stacks) Openings() (n int) {
	var cookie uint64
	var b []byte
	for it := s.objects.Openings.Iterate(); it.Next(&cookie, &b); n++ {
	}
	return n
}
