package source_test

import (
	"bytes"
	"context"
	"net"
	"os"
	"slices"
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/source"
	"github.com/tcpvet/tcpvet/source/procfs"
)

// TestLookTellsHostsAndSettings looks at one's own process: what localhost means
// to it, and what the files of sysctl(8) set, are told where they are asked for,
// and else absent.
func TestLookTellsHostsAndSettings(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	b, err := os.ReadFile("/etc/hosts")
	must(t, err)
	localhost := procfs.ParseHosts(b, "localhost")
	conf, err := os.ReadFile("/etc/sysctl.conf")
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	const files = tcpvet.FactHosts | tcpvet.FactSysctlConf
	for _, want := range []tcpvet.Facts{tcpvet.FactHolders, tcpvet.FactHolders | files, files} {
		src, err := source.Open("auto")
		must(t, err)
		c, err := source.Take(context.Background(), src, source.Query{Want: want}, source.TakeOptions{})
		must(t, err)
		if c.Facts&files != want&files {
			t.Errorf("asked for %v, the look says that it knows %v", want, c.Facts)
		}
		var self *tcpvet.ProcessInfo
		for p, info := range c.Processes {
			if int(p.PID) == os.Getpid() {
				self = &info
			}
		}
		if self == nil {
			t.Fatalf("asked for %v, the test's own process is not told", want)
		}
		if want.Has(files) {
			if self.Localhost == nil || !slices.Equal(self.Localhost, localhost) {
				t.Errorf("localhost is %v, /etc/hosts says %v", self.Localhost, localhost)
			}
			set := slices.ContainsFunc(c.Host.Settings, func(s tcpvet.Setting) bool { return s.File == "/etc/sysctl.conf" })
			if want := len(procfs.ParseSysctlConf("", bytes.TrimSpace(conf))) > 0; c.Host.Settings == nil || set != want {
				t.Errorf("settings %v, and /etc/sysctl.conf sets some: %v", c.Host.Settings, want)
			}
		} else if self.Localhost != nil || c.Host.Settings != nil {
			t.Errorf("told without being asked for: %v, %v", self.Localhost, c.Host.Settings)
		}
	}
}
