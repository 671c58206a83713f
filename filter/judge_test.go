package filter

import (
	"net/netip"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
)

func mustParse(t testing.TB, text string) *Filter {
	t.Helper()
	f, err := Parse([]string{text})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// leak is a connection that its peer has closed 10 minutes ago, as netlink
// tells it, seen from the client.
func leak() tcpvet.Socket {
	return tcpvet.Socket{
		Known: tcpvet.FactQueues | tcpvet.FactInode | tcpvet.FactUID | tcpvet.FactCookie |
			tcpvet.FactTimer | tcpvet.FactInfo | tcpvet.FactCgroup | tcpvet.FactMini,
		State: tcpvet.CloseWait, Role: tcpvet.Client,
		Local:  netip.MustParseAddrPort("10.0.0.5:40000"),
		Remote: netip.MustParseAddrPort("10.0.3.7:8080"),
		RecvQ:  1, UID: 1000, Inode: 77, Cookie: 26, Cgroup: 4321,
		Timer: tcpvet.Timer{Kind: tcpvet.TimerNone, Retransmits: 0},
		Info:  tcpvet.TCPInfo{LastDataSent: 20 * time.Minute, LastDataRecv: 20 * time.Minute, LastAckRecv: 10 * time.Minute},
	}
}

func TestJudge(t *testing.T) {
	full := leak()
	bare := leak()
	bare.Known, bare.Role = 0, tcpvet.RoleUnknown

	mapped := leak()
	mapped.Local = netip.MustParseAddrPort("[::ffff:10.0.0.5]:40000")
	mapped.Remote = netip.MustParseAddrPort("[::ffff:10.0.3.7]:8080")

	v6 := leak()
	v6.Local = netip.MustParseAddrPort("[2001:db8::5]:40000")
	v6.Remote = netip.MustParseAddrPort("[2001:db8::7%eth0]:443")

	link := leak()
	link.Local, link.Remote = netip.MustParseAddrPort("[fe80::5]:40000"), netip.MustParseAddrPort("[fe80::7]:443")
	link.Interface = 3
	noLink := link
	noLink.Interface = 0

	listener := tcpvet.Socket{
		Known: tcpvet.FactBacklog, State: tcpvet.Listen, Role: tcpvet.Server,
		Local: netip.MustParseAddrPort("0.0.0.0:80"), RecvQ: 3, SendQ: 4096,
	}

	// A CLOSE-WAIT that wrote after the FIN: between 1 and 4 minutes old.
	loose := leak()
	loose.Timer.Kind = tcpvet.TimerKeepalive
	loose.Info = tcpvet.TCPInfo{LastDataSent: time.Second, LastAckRecv: time.Minute, LastDataRecv: 4 * time.Minute}

	timeWait := tcpvet.Socket{
		Known: tcpvet.FactTimer, State: tcpvet.TimeWait, Mini: true,
		Timer: tcpvet.Timer{Kind: tcpvet.TimerTimeWait, Expires: 20 * time.Second},
	}
	idle := leak()
	idle.State = tcpvet.Established
	idle.Info = tcpvet.TCPInfo{LastDataSent: time.Hour, LastDataRecv: 2 * time.Hour}

	probing := leak()
	probing.Timer = tcpvet.Timer{Kind: tcpvet.TimerOn, Retransmits: 3}

	for _, row := range []struct {
		name string
		s    *tcpvet.Socket
		text string
		want Truth
	}{
		{"full", &full, "state close-wait", True},
		{"full", &full, "not state close-wait", False},
		{"full", &full, "state established", False},
		{"full", &full, "src 10.0.0.5", True},
		{"full", &full, "dst 10.0.0.5", False},
		{"full", &full, "src 10.0.0.0/29", True},
		{"full", &full, "src 10.0.0.6/31", False},
		{"full", &full, "src 0.0.0.0/0", True},
		{"full", &full, "src [::]/0", False},
		{"full", &full, "dst 10.0.3.7:8080", True},
		{"full", &full, "dst 10.0.3.7:8081", False},
		{"full", &full, "dst :8080", True},
		{"full", &full, "src :8080", False},
		{"full", &full, "src *", True},
		{"full", &full, "not src *", False},
		{"full", &full, "sport = 40000", True},
		{"full", &full, "sport != 40000", False},
		{"full", &full, "dport < 8080", False},
		{"full", &full, "dport <= 8080", True},
		{"full", &full, "dport > 8080", False},
		{"full", &full, "dport >= 8080", True},
		{"full", &full, "role client", True},
		{"full", &full, "role server", False},
		{"full", &full, "recvq > 0", True},
		{"full", &full, "sendq > 0", False},
		{"full", &full, "uid = 1000", True},
		{"full", &full, "inode 77", True},
		{"full", &full, "cookie 0x1a", True},
		{"full", &full, "cgroup 4321", True},
		{"full", &full, "timer off", True},
		{"full", &full, "timer keepalive", False},
		{"full", &full, "retrans = 0", True},
		{"probing", &probing, "retrans > 2 timer on", True},
		{"full", &full, "age > 9m59s", True},
		{"full", &full, "age > 10m", False},
		{"full", &full, "age = 10m", True},

		// What was not told is unknown, and so is its opposite.
		{"bare", &bare, "uid = 1000", Unknown},
		{"bare", &bare, "not uid = 1000", Unknown},
		{"bare", &bare, "uid != 1000", Unknown},
		{"bare", &bare, "recvq > 0", Unknown},
		{"bare", &bare, "inode = 77", Unknown},
		{"bare", &bare, "cookie = 26", Unknown},
		{"bare", &bare, "cgroup = 4321", Unknown},
		{"bare", &bare, "timer off", Unknown},
		{"bare", &bare, "retrans = 0", Unknown},
		{"bare", &bare, "age > 1s", Unknown},
		{"bare", &bare, "role client", Unknown},
		{"bare", &bare, "role != client", Unknown},
		{"bare", &bare, "uid = 0 or not uid = 0", Unknown},
		{"bare", &bare, "uid = 0 or state close-wait", True},
		{"bare", &bare, "uid = 0 or state listening", Unknown},
		{"bare", &bare, "uid = 0 and state listening", False},
		{"bare", &bare, "uid = 0 and state close-wait", Unknown},
		{"bare", &bare, "not (uid = 0 and state listening)", True},

		// IPv4 terms see through mapped addresses; IPv6 terms take them as
		// they are.
		{"mapped", &mapped, "src 10.0.0.5", True},
		{"mapped", &mapped, "src 10.0.0.5:40000 dst 10.0.3.0/24", True},
		{"mapped", &mapped, "src 10.0.0.6", False},
		{"mapped", &mapped, "src 0.0.0.0/0", True},
		{"mapped", &mapped, "src [::]/0", True},
		{"mapped", &mapped, "src [::ffff:10.0.0.5]", True},
		{"mapped", &mapped, "src [::ffff:10.0.0.0]/104", True},
		{"full", &full, "src [::ffff:10.0.0.5]", False},
		{"v6", &v6, "src 0.0.0.0/0", False},
		{"v6", &v6, "src [2001:db8::5]", True},
		{"v6", &v6, "dst [2001:db8::7]:443", True},
		{"v6", &v6, "src [2001:db8::/32]:443", False},

		// A link-local address is that of a neighbour on one link. A source
		// that knows the link by name alone tells no number.
		{"link", &link, "src [fe80::5]", True},
		{"link", &link, "src [fe80::5%3]:40000 dst fe80::7%3", True},
		{"link", &link, "src [fe80::5%2]", False},
		{"link", &link, "not src [fe80::5%2]", True},
		{"link", &link, "src [fe80::6%3]", False},
		{"link", &link, "src [fe80::5%3]:1", False},
		{"no link", &noLink, "src [fe80::5]", True},
		{"no link", &noLink, "src [fe80::5%3]", Unknown},
		{"no link", &noLink, "not src [fe80::5%3]", Unknown},
		{"no link", &noLink, "src [fe80::6%3]", False},
		{"no link", &noLink, "src [fe80::5%3]:1", False},

		// A listener's queues are counted in connections, and known or not
		// for themselves.
		{"listener", &listener, "recvq = 3", True},
		{"listener", &listener, "sendq = 4096", Unknown},
		{"listener", &listener, "src 0.0.0.0", True},
		{"listener", &listener, "dst 0.0.0.0/0", False}, // its remote address is not valid
		{"listener", &listener, "age > 1s", Unknown},

		{"loose", &loose, "age > 59s", True},
		{"loose", &loose, "age > 1m", Unknown},
		{"loose", &loose, "age >= 1m", True},
		{"loose", &loose, "age > 2m", Unknown},
		{"loose", &loose, "age >= 4m", Unknown},
		{"loose", &loose, "age > 4m", False},
		{"loose", &loose, "age < 1m", False},
		{"loose", &loose, "age < 4m", Unknown},
		{"loose", &loose, "age <= 4m", True},
		{"loose", &loose, "age = 2m", Unknown},
		{"loose", &loose, "age != 2m", Unknown},
		{"loose", &loose, "age = 5m", False},
		{"loose", &loose, "age != 5m", True},
		{"timeWait", &timeWait, "age = 40s", True}, // 60 s less the timer's 20 s
		{"timeWait", &timeWait, "timer timewait", True},
		{"idle", &idle, "age = 1h", True},
	} {
		f := mustParse(t, row.text)
		if got := f.Expr().Judge(row.s); got != row.want {
			t.Errorf("%q of %s is %v, want %v", row.text, row.name, got, row.want)
		}
		if got := f.Match(row.s); got != (row.want == True) {
			t.Errorf("Match of %q for %s is %v, its truth %v", row.text, row.name, got, row.want)
		}
	}
}

func TestEmptyFilters(t *testing.T) {
	var none *Filter
	parsed, err := Parse(nil)
	if err != nil {
		t.Fatal(err)
	}
	s := leak()
	for name, f := range map[string]*Filter{"nil": none, "zero": {}, "parsed": parsed, "New(And{})": New(And{})} {
		if !f.Match(&s) || !f.All() || f.States() != tcpvet.AllStates || f.Needs() != 0 || f.Bytecode() != nil || f.String() != "" {
			t.Errorf("%s: Match %v, All %v, States %b, Needs %v, Bytecode %x, String %q", name,
				f.Match(&s), f.All(), f.States(), f.Needs(), f.Bytecode(), f)
		}
		if e, ok := f.Expr().(And); !ok || len(e) != 0 {
			t.Errorf("%s: Expr %#v", name, f.Expr())
		}
	}
	if f := mustParse(t, "src *"); f.All() || !f.Match(&s) {
		t.Errorf("src *: All %v, Match %v", f.All(), f.Match(&s))
	}
}

func TestStates(t *testing.T) {
	set := tcpvet.SetOf
	for _, row := range []struct {
		text string
		want tcpvet.StateSet
	}{
		{"state close-wait", set(tcpvet.CloseWait)},
		{"not state close-wait", tcpvet.AllStates &^ set(tcpvet.CloseWait)},
		{"src :1", tcpvet.AllStates},
		{"not src :1", tcpvet.AllStates},
		{"state close-wait and not src :1", set(tcpvet.CloseWait)},
		{"state close-wait or src :1", tcpvet.AllStates},
		{"not (state close-wait or src :1)", tcpvet.AllStates &^ set(tcpvet.CloseWait)},
		{"state close-wait or state listening src :1", set(tcpvet.CloseWait, tcpvet.Listen)},
		{"state close-wait and state listening", 0},
		{"age > 5m", set(tcpvet.CloseWait, tcpvet.TimeWait, tcpvet.Established)},
		{"not age > 5m", set(tcpvet.CloseWait, tcpvet.TimeWait, tcpvet.Established)},
		{"age > 5m exclude time-wait", set(tcpvet.CloseWait, tcpvet.Established)},
		{"exclude all", 0},
	} {
		if got := mustParse(t, row.text).States(); got != row.want {
			t.Errorf("States of %q are %014b, want %014b", row.text, got, row.want)
		}
	}
}

func TestNeeds(t *testing.T) {
	for _, row := range []struct {
		text string
		want tcpvet.Facts
	}{
		{"state close-wait src 10.0.0.1 sport 80", 0},
		{"dst [fe80::1%2]", 0},
		{"state close-wait and not role client", tcpvet.FactListeners | tcpvet.FactPortRange},
		{"recvq > 0", tcpvet.FactQueues | tcpvet.FactBacklog},
		{"sendq > 0", tcpvet.FactQueues | tcpvet.FactBacklogMax},
		{"not (uid = 0 or inode = 0)", tcpvet.FactUID | tcpvet.FactInode},
		{"age > 1m", tcpvet.FactInfo | tcpvet.FactTimer},
		{"timer on retrans > 0", tcpvet.FactTimer},
		{"cookie 1 cgroup 1", tcpvet.FactCookie | tcpvet.FactCgroup},
	} {
		if got := mustParse(t, row.text).Needs(); got != row.want {
			t.Errorf("Needs of %q are %v, want %v", row.text, got, row.want)
		}
	}
}

// TestWants has a role ask for tcp_info, which it does not need: a source without it
// leaves nothing unanswered.
func TestWants(t *testing.T) {
	const role = tcpvet.FactListeners | tcpvet.FactPortRange | tcpvet.FactInfo
	for _, row := range []struct {
		text string
		want tcpvet.Facts
	}{
		{"", 0},
		{"state close-wait src 10.0.0.1", 0},
		{"uid 0", tcpvet.FactUID},
		{"role client", role},
		{"uid 0 or not (src :1 and role server)", role | tcpvet.FactUID},
	} {
		if got := mustParse(t, row.text).Wants(); got != row.want {
			t.Errorf("Wants of %q are %v, want %v", row.text, got, row.want)
		}
	}
	if got := (*Filter)(nil).Wants(); got != 0 {
		t.Errorf("Wants of no filter are %v", got)
	}
}

func TestNamesLink(t *testing.T) {
	for text, want := range map[string]bool{
		"": false, "dst [fe80::1]": false, "role client": false,
		"dst [fe80::1%2]": true, "uid 0 or not (src [fe80::1%2] and sport 80)": true,
	} {
		f := mustParse(t, text)
		if got := f.NamesLink(); got != want {
			t.Errorf("NamesLink of %q is %v", text, got)
		}
	}
}

const everyTerm = "(state close-wait or exclude listening) and src 10.0.0.0/8:40000 and not dst [2001:db8::]/32 " +
	"and sport >= 1024 and role client and age > 5m and recvq > 0 and not sendq > 5 and retrans = 0 and uid = 1000 " +
	"and inode != 0 and cookie = 26 and cgroup = 4321 and timer off"

func TestMatchDoesNotAllocate(t *testing.T) {
	f, s := mustParse(t, everyTerm), leak()
	if !f.Match(&s) {
		t.Fatalf("%v does not match", f)
	}
	if n := testing.AllocsPerRun(100, func() { f.Match(&s) }); n != 0 {
		t.Errorf("Match allocates %v times", n)
	}
}

func BenchmarkMatch(b *testing.B) {
	s := leak()
	for _, text := range []string{"state close-wait dst 10.0.3.7:8080", everyTerm} {
		f := mustParse(b, text)
		b.Run(text[:10], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f.Match(&s)
			}
		})
	}
}
