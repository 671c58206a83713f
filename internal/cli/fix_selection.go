package cli

import (
	"context"
	"net/netip"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/filter"
	"github.com/tcpvet/tcpvet/remedy"
	"github.com/tcpvet/tcpvet/source"
)

// choose reads the flags and the filter that say which sockets are meant. It refuses a
// choice of everything that was not asked for by --all.
func (f *fixing) choose(ctx context.Context, args []string) (*selection, remedy.Selection, error) {
	sel, srcs, err := f.start(ctx, args, 1)
	if err != nil {
		return nil, remedy.Selection{}, err
	}
	if !f.all && sel.everything() {
		return nil, remedy.Selection{}, usage("this selects the sockets of everybody, toward anybody: narrow it by --pid, --comm, --container or an address or port in the filter, or say --all")
	}
	if err := sel.hold(); err != nil {
		return nil, remedy.Selection{}, err
	}
	q := sel.query()
	q.Netns = f.namespaces()
	if err := answerable(srcs[0], q); err != nil {
		return nil, remedy.Selection{}, err
	}
	return sel, remedy.Selection{Source: watched{srcs[0], f.stdio.Err}, Query: q, Match: sel.match}, nil
}

// finishLook adds to a plan what the look could not tell.
func (f *fixing) finishLook(p *remedy.Plan, sel *selection, by remedy.Selection) {
	f.tellSource(by.Source.(watched).Source)
	p.Gaps = append(p.Gaps, sel.unanswered(by.Source)...)
	p.Gaps = append(p.Gaps, sel.absent()...)
	f.unseen = sel.unseen(&p.Plan)
}

// everything tells that nothing says whose sockets are meant, or between which
// addresses: there is a state in which a socket of IPv4, or of IPv6, is meant whatever
// its addresses, ports and owner are.
func (s *selection) everything() bool {
	if !s.holderless() {
		return false
	}
	for _, family := range anyEnds {
		for _, sock := range anyStates() {
			if s.states != 0 && !s.states.Has(sock.State) {
				continue
			}
			all := true
			for i := range family {
				e := &family[i]
				sock.Local, sock.Remote = e.local, e.remote
				sock.UID, sock.Inode, sock.Cookie, sock.Cgroup, sock.Interface = uint32(i)*1001, uint64(i)*7919, uint64(i)*104729, uint64(i)*31, uint32(i)
				if all = s.filter.Judge(&sock) == filter.True; !all {
					break
				}
			}
			if all {
				return true
			}
		}
	}
	return false
}

// ends are addresses and ports of a socket.
type ends struct{ local, remote netip.AddrPort }

// anyEnds are ends of each family that have nothing in common, such as a network or
// the greater part of the ports.
var anyEnds = [...][]ends{
	{
		{netip.MustParseAddrPort("3.14.15.92:1"), netip.MustParseAddrPort("203.0.113.7:65535")},
		{netip.MustParseAddrPort("45.67.89.10:60999"), netip.MustParseAddrPort("150.2.3.4:443")},
		{netip.MustParseAddrPort("100.101.102.103:32768"), netip.MustParseAddrPort("20.30.40.50:8080")},
		{netip.MustParseAddrPort("172.80.7.6:1023"), netip.MustParseAddrPort("99.1.2.3:40001")},
		{netip.MustParseAddrPort("198.18.9.9:5432"), netip.MustParseAddrPort("66.6.66.6:22")},
		{netip.MustParseAddrPort("220.1.2.3:20000"), netip.MustParseAddrPort("8.4.2.1:1024")},
		{netip.MustParseAddrPort("130.9.8.7:65535"), netip.MustParseAddrPort("190.5.4.3:1")},
	},
	{
		{netip.MustParseAddrPort("[2001:db8::1]:1"), netip.MustParseAddrPort("[3fff:7::9]:65535")},
		{netip.MustParseAddrPort("[2a00:1450:4001::5]:60999"), netip.MustParseAddrPort("[fd12:3456::1]:443")},
		{netip.MustParseAddrPort("[fc00:9::2]:32768"), netip.MustParseAddrPort("[2400:cb00::7]:8080")},
		{netip.MustParseAddrPort("[2600::1]:1023"), netip.MustParseAddrPort("[2c0f:f248::3]:40001")},
		{netip.MustParseAddrPort("[3ffe::8]:20000"), netip.MustParseAddrPort("[2800:3f0::4]:1")},
	},
}

// anyStates gives sockets in all states, idle for so long as may be asked for.
func anyStates() (out []tcpvet.Socket) {
	for _, state := range tcpvet.States {
		for _, role := range [...]tcpvet.Role{tcpvet.Client, tcpvet.Server} {
			for kind := tcpvet.TimerNone; kind <= tcpvet.TimerPersist; kind++ {
				for _, age := range [...]time.Duration{0, 30 * time.Second, time.Hour, 1000 * time.Hour} {
					for _, n := range [...]uint32{0, 1, 1 << 20} {
						out = append(out, tcpvet.Socket{
							Known: ^tcpvet.Facts(0), State: state, Role: role, RecvQ: n, SendQ: n,
							Timer: tcpvet.Timer{Kind: kind, Retransmits: uint8(min(n, 5)), Expires: max(tcpvet.TimeWaitLength-age, 0)},
							Info:  tcpvet.TCPInfo{LastDataSent: age, LastDataRecv: age, LastAckRecv: age},
						})
					}
				}
			}
		}
	}
	return out
}

// watched is a source whose looks show on a terminal how far they have come.
type watched struct {
	source.Source
	to interface{ Write([]byte) (int, error) }
}

// Look is source.Source's.
func (w watched) Look(ctx context.Context, q source.Query, o tcpvet.Observer) error {
	o, end := watch(w.to, o)
	defer end()
	return w.Source.Look(ctx, q, o)
}
