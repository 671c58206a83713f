package kernel

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// BPFCgroupLinks tells whether BPF programs can be attached to a cgroup so that they go
// with a descriptor, and see TCP sockets that connect and are accepted
// (CONFIG_CGROUP_BPF, CONFIG_INET).
func BPFCgroupLinks() error {
	return btfNamed("BPF programs of cgroups that see TCP sockets", "5.7", "bpf_cgroup_link", "bpf_sock_ops_kern", "bpf_sock_addr_kern")
}

// HasCapability tells whether the calling thread has a capability, such as
// unix.CAP_NET_ADMIN, in effect.
func HasCapability(n uint) (bool, error) {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	if err := unix.Capget(&hdr, &caps[0]); err != nil {
		return false, fmt.Errorf("read capabilities: %w", err)
	}
	return caps[n/32].Effective>>(n%32)&1 != 0, nil
}
