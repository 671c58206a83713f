package trace

// wanted are the sockets of a batch for which some record lacks a process, and whose
// process that is as far as it was learnt. It is a hash table of the cookies, which the
// kernel gives in turn: their low bits do as a hash. A map took half of all time that
// reading takes.
type wanted struct {
	sockets []wantedSocket
	slots   [2 * batchRecords]uint16 // 1 + the index of a socket, 0 for none
}

type wantedSocket struct {
	cookie uint64
	holder holder
}

// slot gives where a cookie stands, or would.
func (w *wanted) slot(cookie uint64) *uint16 {
	for i := cookie; ; i++ {
		s := &w.slots[i%uint64(len(w.slots))]
		if *s == 0 || w.sockets[*s-1].cookie == cookie {
			return s
		}
	}
}

// add notes a cookie, once. There are at most as many as a batch has records.
func (w *wanted) add(cookie uint64) {
	if s := w.slot(cookie); *s == 0 {
		w.sockets = append(w.sockets, wantedSocket{cookie: cookie})
		*s = uint16(len(w.sockets))
	}
}

// find gives what is known of a cookie, nil where it was not noted.
func (w *wanted) find(cookie uint64) *holder {
	if s := *w.slot(cookie); s != 0 {
		return &w.sockets[s-1].holder
	}
	return nil
}

// clear forgets all.
func (w *wanted) clear() {
	if len(w.sockets) > 0 {
		clear(w.slots[:])
		w.sockets = w.sockets[:0]
	}
}
