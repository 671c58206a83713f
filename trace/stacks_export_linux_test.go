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
