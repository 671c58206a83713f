package filter

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

func TestFindService(t *testing.T) {
	const file = "# comment\n\nhttp\t\t80/tcp\t\twww\t# WorldWideWeb HTTP\nhttps 443/tcp\nhttps\t443/udp\n" +
		"domain 53/udp\nbroken\nodd x/tcp\nhuge 65536/tcp\nlast 7/tcp # http-alias\n"
	for name, want := range map[string]uint16{"http": 80, "www": 80, "https": 443, "last": 7} {
		if got, err := findService(strings.NewReader(file), name); err != nil || got != want {
			t.Errorf("%s: %d, %v; want %d", name, got, err, want)
		}
	}
	for _, name := range []string{"domain", "broken", "odd", "huge", "http-alias", "htt", "80/tcp", "WorldWideWeb", "tcp"} {
		if got, err := findService(strings.NewReader(file), name); !errors.Is(err, errNoService) {
			t.Errorf("%s: %d, %v; want none", name, got, err)
		}
	}
	long := strings.Repeat("#\n", maxServices/2) + "late 1/tcp\n"
	if got, err := findService(strings.NewReader(long), "late"); !errors.Is(err, errNoService) {
		t.Errorf("late: %d, %v; want none: it stands beyond the bound", got, err)
	}
}

// The C library reads the same file.
func TestServicesAsGetent(t *testing.T) {
	getent := kerneltest.Tool(t, "getent")
	for _, name := range []string{"http", "www", "https", "ssh", "domain", "postgresql", "tftp", "no-such-service"} {
		out, _ := exec.Command(getent, "services", name+"/tcp").Output() // "http 80/tcp www", or nothing
		want := "none"
		if fields := strings.Fields(string(out)); len(fields) > 1 {
			want = strings.TrimSuffix(fields[1], "/tcp")
		}
		got := "none"
		if f, err := Parse([]string{"sport", "=", ":" + name}); err == nil {
			got = strings.TrimPrefix(f.String(), "sport = :")
		}
		if got != want {
			t.Errorf("%s is %s, getent has %s", name, got, want)
		}
	}
}

func FuzzFindService(f *testing.F) {
	f.Fuzz(func(t *testing.T, file, name string) {
		_, err := findService(strings.NewReader(file), name)
		if err == nil && (!strings.Contains(file, name) || !strings.Contains(file, "/tcp")) {
			t.Errorf("%q is found in %q", name, file)
		}
	})
}
