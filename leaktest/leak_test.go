package leaktest

import (
	"net/netip"
	"slices"
	"testing"
)

func end(cookie uint64, state, local, remote string, by opener) *socket {
	s := &socket{key: key{cookie: cookie}, state: state, used: true, opener: by, local: netip.MustParseAddrPort(local)}
	if remote != "" {
		s.remote = netip.MustParseAddrPort(remote)
	}
	return s
}

// Of a connection both of whose ends are here, the one that has to close it is told.
func TestLeaksPairs(t *testing.T) {
	const client, server = "127.0.0.1:40000", "127.0.0.1:50000"
	listener := end(9, stateListen, server, "", openerUnknown)
	for _, test := range []struct {
		name string
		all  []*socket
		told []uint64 // by a hook
		want []uint64
	}{
		{"the client's end is known to a hook", []*socket{
			end(1, "ESTAB", client, server, openerUnknown), end(2, "ESTAB", server, client, openerUnknown)}, []uint64{1}, []uint64{1}},
		{"likewise with the greater port", []*socket{
			end(1, "ESTAB", client, server, openerUnknown), end(2, "ESTAB", server, client, openerUnknown)}, []uint64{2}, []uint64{2}},
		{"the kernel tells who called connect", []*socket{
			end(2, "ESTAB", server, client, openedHere), end(1, "CLOSE-WAIT", client, server, acceptedHere)}, nil, []uint64{2}},
		{"it tells of one end", []*socket{
			end(2, "ESTAB", server, client, openerUnknown), end(1, "ESTAB", client, server, acceptedHere)}, nil, []uint64{2}},
		{"a listener tells", []*socket{listener,
			end(2, "ESTAB", server, client, openerUnknown), end(1, "ESTAB", client, server, openerUnknown)}, nil, []uint64{1}},
		{"likewise of the end that is looked at first", []*socket{listener,
			end(1, "ESTAB", client, server, openerUnknown), end(2, "ESTAB", server, client, openerUnknown)}, nil, []uint64{1}},
		{"nothing tells: one", []*socket{
			end(2, "ESTAB", server, client, openerUnknown), end(1, "ESTAB", client, server, openerUnknown)}, nil, []uint64{2}},
		{"the other end is elsewhere", []*socket{listener,
			end(2, "CLOSE-WAIT", server, client, openerUnknown)}, nil, []uint64{2}},
		{"two connections", []*socket{
			end(1, "ESTAB", client, server, openedHere), end(2, "ESTAB", "127.0.0.1:40001", server, openedHere)}, nil, []uint64{1, 2}},
		{"connected to itself", []*socket{end(1, "ESTAB", client, client, openerUnknown)}, nil, []uint64{1}},
		{"listeners are none", []*socket{listener}, nil, nil},
	} {
		var got []uint64
		for _, l := range leaks(test.all, func(k key) *entry {
			if slices.Contains(test.told, k.cookie) {
				return &entry{}
			}
			return nil
		}) {
			got = append(got, l.key.cookie)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}

// A socket that never had a connection is none, however it ended.
func TestLeaksUnused(t *testing.T) {
	s := end(1, stateClosed, "127.0.0.1:40000", "", openerUnknown)
	none := func(key) *entry { return nil }
	s.used = false
	if got := leaks([]*socket{s}, none); len(got) != 0 {
		t.Errorf("a socket that was never connected is told")
	}
	s.used = true
	if got := leaks([]*socket{s}, none); len(got) != 1 {
		t.Errorf("a connection that was reset is not told")
	}
}
