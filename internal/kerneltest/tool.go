package kerneltest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// packages names the Debian 12 package of each program that tests may ask for.
// packages.txt at the root of the repository lists the same packages.
var packages = map[string]string{
	"addr2line": "binutils",
	"apache2":   "apache2-bin",
	"curl":      "curl",
	"g++":       "g++",
	"gcc":       "gcc",
	"ip":        "iproute2",
	"lsof":      "lsof",
	"man":       "man-db",
	"mandoc":    "mandoc",
	"netstat":   "net-tools",
	"nft":       "nftables",
	"nginx":     "nginx-light",
	"nm":        "binutils",
	"node":      "nodejs",
	"nsenter":   "util-linux",
	"objcopy":   "binutils",
	"objdump":   "binutils",
	"ps":        "procps",
	"rustc":     "rustc",
	"setcap":    "libcap2-bin",
	"python3":   "python3",
	"ss":        "iproute2",
	"sysctl":    "procps",
	"tcpdump":   "tcpdump",
	"tshark":    "tshark",
	"unshare":   "util-linux",
	"bash":      "bash",
}

// Tool gives the path of a program that the test runs. The system's own
// directories come before PATH: a second python3 in PATH lacks Debian's modules.
//
// Where the program is missing an ordinary user's test is skipped. Root's fails:
// root can install it, and "make test" does.
func Tool(t testing.TB, name string) string {
	t.Helper()
	for _, dir := range []string{"/usr/sbin", "/usr/bin", "/sbin", "/bin"} {
		path := filepath.Join(dir, name)
		if fi, err := os.Stat(path); err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0 {
			return path
		}
	}
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	where := "it has no Debian package in kerneltest's table"
	if p := packages[name]; p != "" {
		where = "install Debian package " + p
	}
	if os.Geteuid() == 0 {
		t.Fatalf("find program %s: %s", name, where)
	}
	t.Skipf("%s %s: %s", NeedsProgram, name, where)
	return ""
}
