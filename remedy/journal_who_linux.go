package remedy

import (
	"net/netip"
	"os"
	"os/user"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet/source/procfs"
)

// me tells who runs this process.
func me() Who {
	w := Who{UID: uint32(unix.Getuid())}
	// sudo(8) sets SUDO_USER, ssh(1) SSH_CONNECTION. They are for people: whoever may
	// apply a plan may set them.
	w.User = printable(os.Getenv("SUDO_USER"), maxName)
	if w.User == "" {
		w.User = userName(loginUID(w.UID))
	}
	if from, err := netip.ParseAddr(first(os.Getenv("SSH_CONNECTION"))); err == nil {
		w.From = from.String()
	}
	for fd := range 3 {
		path, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
		if name, ok := strings.CutPrefix(path, "/dev/"); err == nil && ok && (strings.HasPrefix(name, "pts/") || strings.HasPrefix(name, "tty")) {
			w.TTY = printable(name, maxName)
			break
		}
	}
	w.Process, _, _ = procfs.FS{}.Descriptors(int32(os.Getpid()))
	return w
}

// loginUID gives the UID that logged in (pam_loginuid.8), or uid where the kernel
// does not know.
func loginUID(uid uint32) uint32 {
	const unset = 1<<32 - 1
	b, err := os.ReadFile("/proc/self/loginuid")
	if err != nil {
		return uid
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 32)
	if err != nil || n == unset {
		return uid
	}
	return uint32(n)
}

func userName(uid uint32) string {
	u, err := user.LookupId(strconv.FormatUint(uint64(uid), 10))
	if err != nil {
		return ""
	}
	return printable(u.Username, maxName)
}

func first(s string) string {
	word, _, _ := strings.Cut(s, " ")
	return word
}

// maxName is how many bytes are kept of a name.
const maxName = 64

// printable cuts a text and leaves out what a terminal could take for more.
func printable(s string, longest int) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
	return strings.ToValidUTF8(s[:min(len(s), longest)], "")
}

// running tells whether the process still runs.
func (w *Who) running() bool {
	if !w.Process.Known() {
		return false
	}
	_, err := procfs.FS{}.ProcessInfo(w.Process)
	return err == nil
}

// bootID tells one start of the machine from another, "" where it is not known
// (random(4)).
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
