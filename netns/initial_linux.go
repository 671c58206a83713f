package netns

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Initial tells whether the calling thread is in the network namespace that the
// host booted with. The error says that it could not be told.
//
// Three signs are asked, the surest first. The inode 4026531833
// (NET_NS_INIT_INO in include/uapi/linux/nsfs.h) belongs to no other namespace;
// an older kernel does not give it to the first one either. Some settings below
// /proc/sys/net/ipv4 are registered in the first namespace only (ipv4_table
// in net/ipv4/sysctl_net_ipv4.c), and /proc/sys/net shows those of the reader.
// Where two such settings do not agree, the namespace of process 1 decides, if
// it may be read and is the host's own.
func Initial() (bool, error) { return initial("/proc") }

func initial(root string) (bool, error) {
	self, err := linked(root + "/thread-self/ns/net")
	if err != nil {
		return false, fmt.Errorf("tell the first network namespace: %w; is procfs mounted on %s?", err, root)
	}
	const first = 0xEFFFFFF9
	if self == first {
		return true, nil
	}
	orphans, err1 := exists(root + "/sys/net/ipv4/tcp_max_orphans")
	peers, err2 := exists(root + "/sys/net/ipv4/inet_peer_threshold")
	everywhere, err3 := exists(root + "/sys/net/ipv4/tcp_fin_timeout")
	if errors.Join(err1, err2, err3) == nil && everywhere && orphans == peers {
		return orphans, nil
	}
	// PROC_PID_INIT_INO (include/linux/proc_ns.h): only in the first PID
	// namespace is process 1 the host's init.
	const firstPID = "pid:[4026531836]"
	var buf [64]byte
	n, err := unix.Readlink(root+"/thread-self/ns/pid", buf[:])
	if err != nil || string(buf[:n]) != firstPID {
		return false, errors.New("tell the first network namespace: the settings do not show it, and process 1 is not the host's")
	}
	host, err := linked(root + "/1/ns/net")
	if err != nil {
		return false, fmt.Errorf("tell the first network namespace: the settings do not show it; process 1: %w; needs %s", err, needs("CAP_SYS_PTRACE"))
	}
	return host == self, nil
}

// exists tells whether a file is there; the error says that it is not known.
func exists(path string) (bool, error) {
	var st unix.Stat_t
	err := unix.Stat(path, &st)
	if err == unix.ENOENT {
		return false, nil
	}
	return err == nil, err
}
