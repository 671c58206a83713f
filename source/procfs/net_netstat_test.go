package procfs

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	prometheus "github.com/prometheus/procfs"
)

func TestParseNetstat(t *testing.T) {
	got := map[string]uint64{}
	text := "TcpExt: SyncookiesSent ListenOverflows\nTcpExt: 3 18446744073709551615\n\nTcp: MaxConn CurrEstab\nTcp: -1 5\nNew:\nNew:\n"
	if err := ParseNetstat([]byte(text), got); err != nil {
		t.Fatal(err)
	}
	want := map[string]uint64{"TcpExtSyncookiesSent": 3, "TcpExtListenOverflows": 1<<64 - 1, "TcpCurrEstab": 5}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	for _, bad := range []string{"Tcp: A B\nTcp: 1\n", "Tcp: A\n", "Tcp: A\nUdp: 1\n", "Tcp A\nTcp 1\n", "Tcp: A\nTcp: x\n", "Tcp: A\nTcp: -\n"} {
		if err := ParseNetstat([]byte(bad), got); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestParseSockstat(t *testing.T) {
	got := map[string]uint64{}
	if err := ParseSockstat("sockstat", []byte("sockets: used 16\nTCP: inuse 7 orphan 1 tw 2 alloc 9 mem 3\nFRAG: inuse 0 memory 0"), got); err != nil {
		t.Fatal(err)
	}
	want := map[string]uint64{"sockstat.sockets.used": 16, "sockstat.TCP.inuse": 7, "sockstat.TCP.orphan": 1, "sockstat.TCP.tw": 2,
		"sockstat.TCP.alloc": 9, "sockstat.TCP.mem": 3, "sockstat.FRAG.inuse": 0, "sockstat.FRAG.memory": 0}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	for _, bad := range []string{"TCP inuse 7", "TCP: inuse", "TCP: inuse x"} {
		if err := ParseSockstat("sockstat", []byte(bad), got); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestNoTCP(t *testing.T) {
	for text, want := range map[string]bool{
		"TCP: inuse 0 orphan 5 tw 0 alloc 9 mem 1\nTCP6: inuse 0": true, // orphans and allocations are the host's
		"TCP: inuse 0 tw 0":                true, // without IPv6
		"TCP: inuse 1 tw 0\nTCP6: inuse 0": false,
		"TCP: inuse 0 tw 1\nTCP6: inuse 0": false,
		"TCP: inuse 0 tw 0\nTCP6: inuse 1": false,
		"TCP6: inuse 0":                    false, // not known
		"TCP: inuse 0":                     false,
	} {
		c := map[string]uint64{}
		for line := range strings.Lines(text) {
			file := "sockstat"
			if strings.HasPrefix(line, "TCP6") {
				file = "sockstat6"
			}
			if err := ParseSockstat(file, []byte(line), c); err != nil {
				t.Fatal(err)
			}
		}
		if got := NoTCP(c); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// Both readers get the bytes of this kernel's files.
func TestCountersAgreeWithPrometheus(t *testing.T) {
	dir := t.TempDir()
	net := filepath.Join(dir, "1/net")
	if err := os.MkdirAll(net, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("1/net", filepath.Join(dir, "net")); err != nil {
		t.Fatal(err)
	}
	got := map[string]uint64{}
	for _, name := range []string{"netstat", "snmp", "sockstat"} {
		b, err := os.ReadFile("/proc/thread-self/net/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(net, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
		if name == "sockstat" {
			err = ParseSockstat(name, b, got)
		} else {
			err = ParseNetstat(b, got)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	fs, err := prometheus.NewFS(dir)
	if err != nil {
		t.Fatal(err)
	}
	proc, err := fs.Proc(1)
	if err != nil {
		t.Fatal(err)
	}
	netstat, err := proc.Netstat()
	if err != nil {
		t.Fatal(err)
	}
	snmp, err := proc.Snmp()
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, group := range []struct {
		name  string
		value any
	}{{"TcpExt", netstat.TcpExt}, {"IpExt", netstat.IpExt}, {"Tcp", snmp.Tcp}, {"Ip", snmp.Ip}, {"Udp", snmp.Udp}} {
		v := reflect.ValueOf(group.value)
		for i := range v.NumField() {
			f, ok := v.Field(i).Interface().(*float64)
			if !ok || f == nil || *f < 0 {
				continue
			}
			name := group.name + v.Type().Field(i).Name
			n, ok := got[name]
			if !ok || float64(n) != *f {
				t.Errorf("%s: %d (known: %v), the other reader has %v", name, n, ok, *f)
			}
			compared++
		}
	}
	if compared < 100 {
		t.Errorf("only %d counters compared", compared)
	}
	sockstat, err := fs.NetSockstat()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range sockstat.Protocols {
		if n, ok := got[fmt.Sprintf("sockstat.%s.inuse", p.Protocol)]; !ok || n != uint64(p.InUse) {
			t.Errorf("%s inuse: %d (known: %v), the other reader has %d", p.Protocol, n, ok, p.InUse)
		}
	}
}

func FuzzNetstat(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		c := map[string]uint64{}
		ParseNetstat(b, c)
		if words := len(strings.Fields(string(b))); len(c) > words/2 {
			t.Fatalf("%d counters of %d words", len(c), words)
		}
	})
}

func FuzzSockstat(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		c := map[string]uint64{}
		ParseSockstat("sockstat", b, c)
		if words := len(strings.Fields(string(b))); len(c) > words/2 {
			t.Fatalf("%d counters of %d words", len(c), words)
		}
		NoTCP(c)
	})
}
