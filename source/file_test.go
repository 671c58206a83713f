package source_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/source"
	"github.com/tcpvet/tcpvet/source/dump"
	"github.com/tcpvet/tcpvet/store"
)

// Two namespaces, each with a listener, a connection in CLOSE-WAIT and a
// process of its own.
const (
	web, db = tcpvet.NetnsID(4026532177), tcpvet.NetnsID(4026532288)
)

var (
	webApp, dbApp = tcpvet.Process{PID: 10, Start: 100}, tcpvet.Process{PID: 20, Start: 200}
	taken         = time.Date(2025, 3, 4, 5, 6, 7, 0, time.FixedZone("", 3600))
)

func twoSpaces(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	w := store.NewWriter(&b, store.Header{
		Taken: taken, Host: "web1", Source: "netlink", Self: web, Whole: true,
		Facts: tcpvet.FactQueues | tcpvet.FactListeners | tcpvet.FactNetns | tcpvet.FactHolders,
	})
	w.Host(tcpvet.Host{Name: "web1"})
	w.Gap(tcpvet.Gap{What: "holders", Err: "refused"})
	w.Gap(tcpvet.Gap{What: "sockets", Err: "gone", Netns: 99})
	for _, n := range []struct {
		id   tcpvet.NetnsID
		name string
		p    tcpvet.Process
		port uint16
	}{{web, "web", webApp, 80}, {db, "db", dbApp, 5432}} {
		w.Netns(tcpvet.Netns{ID: n.id, Names: []string{n.name}})
		w.Gap(tcpvet.Gap{What: "settings", Err: "refused", Netns: n.id})
		w.Process(n.p, tcpvet.ProcessInfo{Comm: n.name})
		at := netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), n.port)
		must(t, w.Socket(&tcpvet.Socket{Netns: n.id, State: tcpvet.Listen, Role: tcpvet.Server, Local: at, Remote: netip.MustParseAddrPort("0.0.0.0:0")}))
		must(t, w.Socket(&tcpvet.Socket{
			Netns: n.id, State: tcpvet.CloseWait, Role: tcpvet.Server, Local: at, Remote: netip.MustParseAddrPort("10.0.0.9:40000"), Holder: n.p,
		}))
	}
	must(t, w.Close())
	return b.Bytes()
}

func file(t *testing.T, b []byte, opt source.FileOptions) source.Source {
	t.Helper()
	src, err := source.File(bytes.NewReader(b), opt)
	must(t, err)
	return src
}

// A query narrows a snapshot to namespaces as it would have narrowed the look.
func TestFileNamespaces(t *testing.T) {
	snapshot := twoSpaces(t)
	for _, test := range []struct {
		q    source.Namespaces
		want []tcpvet.NetnsID
		gaps int
		by   tcpvet.Process // where one process is told
	}{
		{source.Namespaces{All: true}, []tcpvet.NetnsID{web, db}, 4, tcpvet.Nobody},
		{source.Namespaces{}, []tcpvet.NetnsID{web}, 2, webApp}, // of the one who looked
		{source.Namespaces{Names: []string{"db"}}, []tcpvet.NetnsID{db}, 2, dbApp},
		{source.Namespaces{Names: []string{fmt.Sprint(db)}}, []tcpvet.NetnsID{db}, 2, dbApp},
		{source.Namespaces{Names: []string{fmt.Sprintf("net:[%d]", web), "web"}}, []tcpvet.NetnsID{web}, 2, webApp},
		{source.Namespaces{Names: []string{"web", "db"}}, []tcpvet.NetnsID{web, db}, 3, tcpvet.Nobody},
		{source.Namespaces{Names: []string{"db", "99"}}, []tcpvet.NetnsID{db}, 3, dbApp},
	} {
		var l listed
		src := file(t, snapshot, source.FileOptions{})
		if err := src.Look(t.Context(), source.Query{Netns: test.q}, &l); err != nil {
			t.Errorf("%+v: %v", test.q, err)
		}
		if !slices.Equal(l.spaces, test.want) || len(l.sockets) != 2*len(test.want) || len(l.gaps) != test.gaps || len(l.procs) != len(test.want) {
			t.Errorf("%+v: namespaces %v, %d sockets, %d processes, gaps %v; want %v", test.q, l.spaces, len(l.sockets), len(l.procs), l.gaps, test.want)
		}
		if _, told := l.procs[test.by]; test.by.Known() && !told {
			t.Errorf("%+v: processes %v", test.q, l.procs)
		}
	}
	for _, name := range []string{"dbs", "1", "pid:10"} {
		src := file(t, snapshot, source.FileOptions{})
		err := src.Look(t.Context(), source.Query{Netns: source.Namespaces{Names: []string{"db", name}}}, &listed{})
		if !errors.Is(err, source.ErrBlind) || !strings.Contains(err.Error(), name) {
			t.Errorf("namespace %q: %v", name, err)
		}
	}
}

// A process of sockets that are not asked for is no part of the answer.
func TestFileStates(t *testing.T) {
	var l listed
	src := file(t, twoSpaces(t), source.FileOptions{})
	must(t, src.Look(t.Context(), source.Query{States: tcpvet.SetOf(tcpvet.Listen), Netns: source.Namespaces{All: true}}, &l))
	if len(l.sockets) != 2 || len(l.procs) != 0 {
		t.Errorf("%d sockets, processes %v", len(l.sockets), l.procs)
	}
}

// What a snapshot says of itself is what its Census says.
func TestFileCensus(t *testing.T) {
	src := file(t, twoSpaces(t), source.FileOptions{Taken: time.Now()})
	c, err := source.Take(t.Context(), src, source.Query{Want: everything, Netns: source.Namespaces{All: true}}, source.TakeOptions{})
	must(t, err)
	if !c.Taken.Equal(taken) || c.Duration != 0 || c.Source != "netlink" || c.Self != web || !c.Whole || c.Host.Name != "web1" {
		t.Errorf("%+v", c)
	}
	if want := tcpvet.FactQueues | tcpvet.FactListeners | tcpvet.FactNetns | tcpvet.FactHolders; c.Facts != want {
		t.Errorf("facts %v, not %v", c.Facts, want)
	}
	part := file(t, twoSpaces(t), source.FileOptions{})
	c, err = source.Take(t.Context(), part, source.Query{Netns: source.Namespaces{Names: []string{"db"}}}, source.TakeOptions{})
	must(t, err)
	if c.Whole || c.Sockets != 2 {
		t.Errorf("a part: %d sockets, whole: %v", c.Sockets, c.Whole)
	}
}

const pasted = `State     Recv-Q Send-Q Local Address:Port Peer Address:Port
LISTEN    0      128          0.0.0.0:8080      0.0.0.0:*
ESTAB     0      0           10.0.0.1:8080     10.0.0.9:40000
LISTEN    0      128          0.0.0.0:45000     0.0.0.0:*
ESTAB     0      0           10.0.0.1:45000    10.0.0.9:40002
ESTAB     0      0           10.0.0.1:443      10.0.0.9:40001
CLOSE-WAIT 1     0           10.0.0.1:50000    10.0.3.7:8080
ESTAB     0      0           10.0.0.1:1023     10.0.3.7:22
ESTAB     0      0           10.0.0.1:20000    10.0.3.7:50000
`

// Roles of pasted text: by what listens, else by the range, be it that of Linux
// or the one that is given.
func TestFileRoles(t *testing.T) {
	roles := func(opt source.FileOptions) map[uint16]tcpvet.Role {
		var l listed
		must(t, file(t, []byte(pasted), opt).Look(t.Context(), source.Query{}, &l))
		got := make(map[uint16]tcpvet.Role)
		for _, s := range l.sockets {
			got[s.Local.Port()] = s.Role
		}
		return got
	}
	want := map[uint16]tcpvet.Role{8080: tcpvet.Server, 45000: tcpvet.Server, 443: tcpvet.Server, 50000: tcpvet.Client, 1023: tcpvet.Client, 20000: tcpvet.Server}
	if got := roles(source.FileOptions{}); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("roles %v, want %v", got, want)
	}
	want[443], want[20000] = tcpvet.Server, tcpvet.Client
	if got := roles(source.FileOptions{Ports: &tcpvet.Ports{Low: 15000, High: 60999}}); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("with a range from 15000: roles %v, want %v", got, want)
	}
}

// Text knows no namespaces: to name one is an error, not an empty answer.
func TestFileTextNamespace(t *testing.T) {
	src := file(t, []byte(pasted), source.FileOptions{Taken: taken})
	if err := src.Look(t.Context(), source.Query{Netns: source.Namespaces{Names: []string{"web"}}}, &listed{}); !errors.Is(err, source.ErrBlind) {
		t.Errorf("a named namespace of pasted text: %v", err)
	}
	c, err := source.Take(t.Context(), file(t, []byte(pasted), source.FileOptions{Taken: taken}), source.Query{Want: everything}, source.TakeOptions{})
	must(t, err)
	if c.Sockets != 8 || !c.Taken.Equal(taken) || c.Source != "ss" || c.Self != 0 || c.Whole || c.Facts.Has(tcpvet.FactNetns) {
		t.Errorf("%+v", c)
	}
}

func compressed(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, err := z.Write(b)
	must(t, err)
	must(t, z.Close())
	return out.Bytes()
}

// A file that was cut says so, compressed or not; leniently, the rest is a gap.
func TestFileCut(t *testing.T) {
	plain := twoSpaces(t)
	packed := compressed(t, plain)
	cutLine := plain[:bytes.LastIndexByte(plain[:len(plain)-1], '\n')-20]
	for name, b := range map[string][]byte{
		"plain, in a line":    cutLine,
		"plain, after one":    plain[:bytes.LastIndexByte(plain[:len(plain)-1], '\n')+1],
		"compressed":          packed[:len(packed)-30],
		"compressed, trailer": packed[:len(packed)-4],
	} {
		strict, err := source.File(bytes.NewReader(b), source.FileOptions{})
		must(t, err)
		all := source.Query{Netns: source.Namespaces{All: true}}
		var fault *store.LineError
		if err := strict.Look(t.Context(), all, &listed{}); !errors.Is(err, store.ErrCut) || !errors.As(err, &fault) || fault.Line < 2 {
			t.Errorf("%s: %v", name, err)
		}
		var l listed
		lenient, err := source.File(bytes.NewReader(b), source.FileOptions{Lenient: true})
		must(t, err)
		if err := lenient.Look(t.Context(), all, &l); err != source.ErrCut {
			t.Errorf("%s, leniently: %v", name, err)
		}
		if !slices.ContainsFunc(l.gaps, func(g tcpvet.Gap) bool { return strings.Contains(g.What, "snapshot") }) {
			t.Errorf("%s, leniently: gaps %v", name, l.gaps)
		}
	}
}

// Of a compressed paste that was cut, anywhere, the lines before the cut are read
// where that is asked for; else the error says where it was cut.
func TestFileCutPaste(t *testing.T) {
	var text bytes.Buffer
	text.WriteString(pasted[:strings.Index(pasted, "\n")+1])
	for port := range 3000 {
		fmt.Fprintf(&text, "CLOSE-WAIT %d 0 10.0.0.1:%d 10.0.3.7:8080\n", port*7919%5, 1024+port)
	}
	packed := compressed(t, text.Bytes())
	took := 0
	for n := 2; n < len(packed); n += 97 {
		part := packed[:n]
		z, err := gzip.NewReader(bytes.NewReader(part))
		whole := 0 // lines of sockets that gzip gets out of it
		if err == nil {
			out, _ := io.ReadAll(z)
			whole = max(bytes.Count(out, []byte("\n"))-1, 0)
		}
		where := fmt.Sprintf("cut after %d bytes", n)
		if _, err := source.File(bytes.NewReader(part), source.FileOptions{}); !errors.Is(err, dump.ErrCut) || !strings.Contains(err.Error(), where) {
			t.Fatalf("cut after %d bytes: %v", n, err)
		}
		src, err := source.File(bytes.NewReader(part), source.FileOptions{Lenient: true})
		if whole == 0 {
			if !errors.Is(err, dump.ErrCut) {
				t.Fatalf("cut after %d bytes, to no socket: %v", n, err)
			}
			continue
		}
		must(t, err)
		var l listed
		if err := src.Look(t.Context(), source.Query{}, &l); err != source.ErrCut {
			t.Fatalf("cut after %d bytes, leniently: %v", n, err)
		}
		if len(l.sockets) != whole || len(l.gaps) != 1 || !strings.Contains(l.gaps[0].Err, where) || l.gaps[0].Where != fmt.Sprintf("line %d", whole+2) {
			t.Fatalf("cut after %d bytes: %d sockets, not %d, gaps %v", n, len(l.sockets), whole, l.gaps)
		}
		took = whole
	}
	if took < 2000 {
		t.Errorf("of 3000 sockets %d came out at the best: nothing was proved", took)
	}

	// Damage is no cut, and shows by the checksum at the latest.
	for _, at := range []int{len(packed) / 2, len(packed) - 6} {
		damaged := slices.Clone(packed)
		damaged[at] ^= 0x55
		if _, err := source.File(bytes.NewReader(damaged), source.FileOptions{}); err == nil || !strings.Contains(err.Error(), "damaged") && !strings.Contains(err.Error(), "read line") {
			t.Errorf("damaged at byte %d of %d: %v", at, len(packed), err)
		}
	}
	packed[len(packed)-6] ^= 0x55
	if _, err := source.File(bytes.NewReader(packed), source.FileOptions{}); !errors.Is(err, dump.ErrCut) || !errors.Is(err, gzip.ErrChecksum) {
		t.Errorf("with another checksum: %v", err)
	}
}

func TestFileFaults(t *testing.T) {
	for _, text := range []string{"", "hello\n", "\x1f\x8b", "\x1f\x8bnot gzip", `{"schema":"tcpvet/snapshot/v2","kind":"header"}` + "\n"} {
		if _, err := source.File(strings.NewReader(text), source.FileOptions{}); err == nil {
			t.Errorf("no error for %q", text)
		}
	}
	broken := errors.New("disk")
	if _, err := source.File(iotest.ErrReader(broken), source.FileOptions{}); !errors.Is(err, broken) {
		t.Errorf("a reader's error is %v", err)
	}
	one := iotest.OneByteReader(bytes.NewReader(compressed(t, twoSpaces(t))))
	src, err := source.File(one, source.FileOptions{})
	must(t, err)
	must(t, src.Look(t.Context(), source.Query{Netns: source.Namespaces{All: true}}, &listed{}))
}
