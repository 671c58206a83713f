package procfs

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// confLines hold what sysctl.conf(5) allows, of settings that every kernel has.
const confLines = `# a comment
; another = 1
net.ipv4.tcp_fin_timeout = 30
  net.ipv4.tcp_retries2   =   8
net.ipv4.ip_local_port_range = 1024   65000
net/ipv4/conf/lo/forwarding = 1
net.ipv4.conf.lo.rp_filter=2

a line that sets nothing
net.ipv4.tcp_mem = 1 # 2
net.ipv4.tcp_syn_retries=
`

// TestSysctlConfAgrees reads a file as sysctl(8) does.
func TestSysctlConfAgrees(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.conf")
	if err := os.WriteFile(file, []byte(confLines), 0o644); err != nil {
		t.Fatal(err)
	}
	// It complains of the line that sets nothing, and says what it would set.
	out, err := exec.Command(kerneltest.Tool(t, "sysctl"), "--dry-run", "-p", file).Output()
	if len(out) == 0 {
		t.Fatal(err)
	}
	want := applied(string(out))
	if got := written(ParseSysctlConf(file, []byte(confLines))); !slices.Equal(got, want) || len(want) != 7 {
		t.Errorf("read\n%q\nsysctl says\n%q", got, want)
	}
}

// applied gives what sysctl --dry-run says that it would set.
func applied(out string) []string {
	var lines []string
	for line := range strings.Lines(out) {
		if name, value, ok := strings.Cut(line, "="); ok {
			lines = append(lines, strings.TrimSpace(name)+"="+strings.Join(strings.Fields(value), " "))
		}
	}
	return lines
}

func written(settings []tcpvet.Setting) []string {
	var lines []string
	for _, s := range settings {
		lines = append(lines, s.Name+"="+s.Value)
	}
	return lines
}

func TestParseSysctlConf(t *testing.T) {
	got := ParseSysctlConf("/etc/sysctl.conf", []byte("\n-net.ipv4.tcp_tw_recycle = 1\nnet/ipv4/conf/eth0.1/forwarding=1\nnet.ipv4.conf.eth0/1.forwarding=0\n= 5\n"))
	want := []tcpvet.Setting{
		{File: "/etc/sysctl.conf", Line: 2, Name: "net.ipv4.tcp_tw_recycle", Value: "1"},
		{File: "/etc/sysctl.conf", Line: 3, Name: "net.ipv4.conf.eth0/1.forwarding", Value: "1"},
		{File: "/etc/sysctl.conf", Line: 4, Name: "net.ipv4.conf.eth0/1.forwarding", Value: "0"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// bootTree holds files in every folder: hidden by rank, masked by a link to
// /dev/null, with a name that does not count.
var bootTree = map[string]string{
	"etc/sysctl.d/50-a.conf":           "net.ipv4.tcp_retries2 = 5",
	"run/sysctl.d/50-a.conf":           "net.ipv4.tcp_retries2 = 6",
	"run/sysctl.d/40-run.conf":         "net.ipv4.tcp_retries1 = 4",
	"usr/local/lib/sysctl.d/60-b.conf": "net.ipv4.tcp_fin_timeout = 61\nnet.ipv4.tcp_retries2 = 9",
	"usr/lib/sysctl.d/60-b.conf":       "net.ipv4.tcp_fin_timeout = 62",
	"usr/lib/sysctl.d/70-masked.conf":  "net.ipv4.tcp_fin_timeout = 63",
	"etc/sysctl.d/70-masked.conf":      "-> /dev/null",
	"etc/sysctl.d/README":              "net.ipv4.tcp_fin_timeout = 64",
	"etc/sysctl.d/zz.conf":             "net.ipv4.tcp_keepalive_time = 600",
	"etc/sysctl.conf":                  "net.ipv4.tcp_keepalive_time = 700",
}

func plantTree(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range bootTree {
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if to, ok := strings.CutPrefix(text, "-> "); ok {
			err = os.Symlink(to, at)
		} else {
			err = os.WriteFile(at, []byte(text+"\n"), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestBootSettings(t *testing.T) {
	got, err := FS{Host: plantTree(t)}.BootSettings()
	want := []tcpvet.Setting{
		{File: "/run/sysctl.d/40-run.conf", Line: 1, Name: "net.ipv4.tcp_retries1", Value: "4"},
		{File: "/etc/sysctl.d/50-a.conf", Line: 1, Name: "net.ipv4.tcp_retries2", Value: "5"},
		{File: "/usr/local/lib/sysctl.d/60-b.conf", Line: 1, Name: "net.ipv4.tcp_fin_timeout", Value: "61"},
		{File: "/usr/local/lib/sysctl.d/60-b.conf", Line: 2, Name: "net.ipv4.tcp_retries2", Value: "9"},
		{File: "/etc/sysctl.d/zz.conf", Line: 1, Name: "net.ipv4.tcp_keepalive_time", Value: "600"},
		{File: "/etc/sysctl.conf", Line: 1, Name: "net.ipv4.tcp_keepalive_time", Value: "700"},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v\ngot  %v\nwant %v", err, got, want)
	}
	if got, err := (FS{Host: t.TempDir()}).BootSettings(); got == nil || len(got) > 0 || err != nil {
		t.Errorf("of nothing: %v, %v", got, err)
	}
}

func TestBootSettingsUnread(t *testing.T) {
	dir := plantTree(t)
	long := filepath.Join(dir, "etc/sysctl.d/55-long.conf")
	if err := os.WriteFile(long, []byte(strings.Repeat("net.ipv4.tcp_retries1 = 3\n", maxSysctlFile/10)), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := FS{Host: dir}.BootSettings()
	if err == nil || !strings.Contains(err.Error(), "55-long.conf") {
		t.Errorf("a file that was cut: %v", err)
	}
	if last := got[len(got)-1]; last.File != lastSysctlFile {
		t.Errorf("the rest is missing: it ends with %v", last)
	}
}

// TestRootBootSettingsAgree asks sysctl --system what it would set, with the
// folders of the tree mounted over those of the machine.
func TestRootBootSettingsAgree(t *testing.T) {
	kerneltest.Root(t)
	sysctl, unshare := kerneltest.Tool(t, "sysctl"), kerneltest.Tool(t, "unshare")
	dir := plantTree(t)
	script := `set -e
cd "$1"
mount --bind etc/sysctl.conf /etc/sysctl.conf
mount --bind etc/sysctl.d /etc/sysctl.d
mount --bind usr/local/lib /usr/local/lib
mount --bind usr/lib/sysctl.d /usr/lib/sysctl.d
mount --bind run /run
exec "$2" --dry-run --system`
	out, err := exec.Command(unshare, "-m", "sh", "-c", script, "sh", dir, sysctl).Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	got, err := FS{Host: dir}.BootSettings()
	if err != nil {
		t.Fatal(err)
	}
	if want := applied(string(out)); !slices.Equal(written(got), want) || len(want) != 6 {
		t.Errorf("read\n%q\nsysctl says\n%q", written(got), want)
	}
}

func FuzzSysctlConf(f *testing.F) {
	f.Add([]byte(confLines))
	f.Fuzz(func(t *testing.T, b []byte) {
		line := 0
		for _, s := range ParseSysctlConf("f", b) {
			if s.Line <= line || s.Name == "" || strings.TrimSpace(s.Value) != s.Value {
				t.Fatalf("%q: %+v after line %d", b, s, line)
			}
			line = s.Line
		}
	})
}
