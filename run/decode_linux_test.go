package run

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/tcpvet/tcpvet"
)

// The records are as large as those of the programs.
func TestRecordSizes(t *testing.T) {
	spec, err := loadBirths()
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]any{birthsMapCounts: countsRecord{}, birthsMapFacts: factsRecord{}} {
		if got := binary.Size(v); uint32(got) != spec.Maps[name].ValueSize {
			t.Errorf("%s: %d bytes, the program has %d", name, got, spec.Maps[name].ValueSize)
		}
	}
	if got := binary.Size(ownRecord{}); uint32(got) != spec.Maps[birthsMapOwnValues].KeySize {
		t.Errorf("own values: %d bytes, the program has %d", got, spec.Maps[birthsMapOwnValues].KeySize)
	}
	if spec.Maps[birthsMapAddresses].MaxEntries != pools*maxPool || spec.Maps[birthsMapAddresses].Type != ebpf.Array {
		t.Error("the pools are not as large as here")
	}
}

func factsBytes(t testing.TB, r factsRecord) []byte {
	var b bytes.Buffer
	if err := binary.Write(&b, binary.NativeEndian, r); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestFacts(t *testing.T) {
	o := Options{Timers: tcpvet.Timers{Keepalive: true, Idle: 30 * time.Second, Interval: 3 * time.Second, Count: 5, UserTimeout: 1500 * time.Millisecond},
		Pool: []netip.Addr{netip.MustParseAddr("127.0.0.9"), netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("2001:db8::1")}}
	sorted, err := o.pools()
	if err != nil {
		t.Fatal(err)
	}
	r := factsRecordOf(&o, &cgroup{path: "/sys/fs/cgroup/a", id: 7})
	for kind, list := range sorted {
		r.Pools[kind] = uint32(len(list))
	}
	back, err := decodeFacts(factsBytes(t, r))
	if err != nil {
		t.Fatal(err)
	}
	got, err := back.options(func(place uint32) ([16]byte, error) {
		return addressRecord(sorted[place/maxPool][place%maxPool]), nil
	})
	if err != nil || !reflect.DeepEqual(got, o) || back.path() != "/sys/fs/cgroup/a" || back.Cgroup != 7 {
		t.Errorf("%+v, %v, want %+v", got, err, o)
	}
	r.Pools[1] = maxPool + 1
	if _, err := decodeFacts(factsBytes(t, r)); err == nil || !strings.Contains(err.Error(), "65 addresses of kind 1") {
		t.Errorf("too many addresses: %v", err)
	}
	if _, err := decodeFacts([]byte{1}); err == nil {
		t.Error("a byte is no record")
	}
}

func FuzzFacts(f *testing.F) {
	f.Add(factsBytes(f, factsRecord{Idle: 1, Pools: [pools]uint32{1, 2, 3, 64}}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeFacts(b)
		if err != nil {
			return
		}
		o, err := r.options(func(place uint32) (a [16]byte, err error) {
			if place >= pools*maxPool {
				t.Errorf("asked for address %d", place)
			}
			return a, nil
		})
		if err != nil || len(o.Pool) > pools*maxPool || len(r.path()) > maxPath {
			t.Errorf("%d addresses, %v", len(o.Pool), err)
		}
	})
}

// The lines are as proc_pid_status(5) shows them.
func TestParseStatus(t *testing.T) {
	for text, want := range map[string]status{
		"Name:\tbash\nUmask:\t0022\nState:\tT (stopped)\nTgid:\t12\nPPid:\t7\n": {'T', 7},
		"Name:\ta\\nState: T\nState:\tS (sleeping)\nPPid:\t1\nPPid:\t2\n":       {'S', 1},
		"PPid:\t0\n": {0, 0},
	} {
		if got, err := parseStatus(text); err != nil || got != want {
			t.Errorf("%q: %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "State:\tT\n", "PPid:\tx\n", "PPid:\t-1\n"} {
		if got, err := parseStatus(text); err == nil {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

func FuzzParseStatus(f *testing.F) {
	f.Add("State:\tT (stopped)\nPPid:\t7\n")
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := parseStatus(text); err == nil && s.parent < 0 {
			t.Errorf("parent %d", s.parent)
		}
	})
}

// The texts are those of cgroups(7), hybrid and of one version.
func TestCgroup2Line(t *testing.T) {
	for text, want := range map[string]string{
		"10:memory:/a\n1:name=systemd:/b\n0::/user.slice/a b\n": "/user.slice/a b",
		"0::/\n":            "/",
		"0::/../x\n":        "/../x",
		"4:memory:/a\n":     "",
		"0:cpu:/a\n":        "",
		"0::relative\n":     "",
		"0::/a (deleted)\n": "/a (deleted)",
		"":                  "",
	} {
		if got, ok := cgroup2Line(text); got != want || ok != (want != "") {
			t.Errorf("%q: %q, %v, want %q", text, got, ok, want)
		}
	}
	for _, test := range []struct {
		root, path, want string
		ok               bool
	}{
		{"/", "/a/b", "/a/b", true},
		{"/docker/1", "/docker/1/x", "/x", true},
		{"/docker/1", "/docker/1", "", true},
		{"/docker/1", "/docker/12", "", false},
		{"/", "/../other", "", false},
	} {
		if got, ok := within(test.root, test.path); ok != test.ok || ok && got != test.want {
			t.Errorf("%s within %s: %q, %v", test.path, test.root, got, ok)
		}
	}
}

func FuzzCgroup2Line(f *testing.F) {
	f.Add("10:memory:/a\n0::/user.slice\n", "/user.slice")
	f.Fuzz(func(t *testing.T, text, root string) {
		if path, ok := cgroup2Line(text); ok {
			if below, ok := within(root, path); ok && len(below) > len(path) {
				t.Errorf("%q within %q: %q", path, root, below)
			}
		}
	})
}

func TestCommon(t *testing.T) {
	for _, test := range [][3]string{{"/a/b", "/a/b", "/a/b"}, {"/a/b", "/a/b/c", "/a/b"}, {"/a/b/c", "/a/b/d", "/a/b"}, {"/a/b", "/a/bc", "/a"}, {"/a", "/b", "/"}} {
		if got := common(test[0], test[1]); got != test[2] {
			t.Errorf("%v: %s", test, got)
		}
	}
}
