package procfs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"github.com/tcpvet/tcpvet"
	"golang.org/x/sys/unix"
)

// Addresses gives the addresses of the calling thread's network namespace, by
// rtnetlink (rtnetlink.7, RTM_GETADDR), since no file of procfs has both
// families with their flags. Lock the thread if it has entered another
// namespace. The result is empty, not nil, where there are none.
func Addresses() ([]tcpvet.Address, error) {
	links, err := syscall.NetlinkRIB(unix.RTM_GETLINK, unix.AF_UNSPEC)
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	addrs, err := syscall.NetlinkRIB(unix.RTM_GETADDR, unix.AF_UNSPEC)
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	return parseAddresses(links, addrs)
}

type link struct {
	name string
	up   bool
}

// parseAddresses joins the answers to RTM_GETLINK and RTM_GETADDR.
func parseAddresses(links, addrs []byte) ([]tcpvet.Address, error) {
	byIndex := map[uint32]link{}
	err := messages(links, unix.RTM_NEWLINK, unix.SizeofIfInfomsg, func(head, attrs []byte) {
		// struct ifinfomsg: family, type, index, flags, change
		l := link{up: binary.NativeEndian.Uint32(head[8:])&unix.IFF_UP != 0}
		attributes(attrs, func(kind uint16, value []byte) {
			if kind == unix.IFLA_IFNAME {
				l.name = string(bytes.TrimRight(value, "\x00"))
			}
		})
		byIndex[binary.NativeEndian.Uint32(head[4:])] = l
	})
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	all := []tcpvet.Address{}
	err = messages(addrs, unix.RTM_NEWADDR, unix.SizeofIfAddrmsg, func(head, attrs []byte) {
		// struct ifaddrmsg: family, prefixlen, flags, scope, index
		bits, flags := int(head[1]), uint32(head[2])
		l := byIndex[binary.NativeEndian.Uint32(head[4:])]
		var local, address netip.Addr
		attributes(attrs, func(kind uint16, value []byte) {
			switch kind {
			case unix.IFA_LOCAL: // on a point-to-point link IFA_ADDRESS is the peer
				local, _ = netip.AddrFromSlice(value)
			case unix.IFA_ADDRESS:
				address, _ = netip.AddrFromSlice(value)
			case unix.IFA_FLAGS:
				if len(value) >= 4 {
					flags = binary.NativeEndian.Uint32(value)
				}
			}
		})
		if !local.IsValid() {
			local = address
		}
		prefix := netip.PrefixFrom(local, bits)
		if !prefix.IsValid() {
			return
		}
		all = append(all, tcpvet.Address{
			Prefix:    prefix,
			Interface: l.name,
			Up:        l.up,
			// An optimistic address serves as a source before it is
			// proved unique (RFC 4429; ipv6_dev_get_saddr).
			Tentative:  flags&unix.IFA_F_TENTATIVE != 0 && flags&unix.IFA_F_OPTIMISTIC == 0,
			Deprecated: flags&unix.IFA_F_DEPRECATED != 0,
		})
	})
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	return all, nil
}

// messages calls yield for each netlink message of one type, with its fixed
// part and its attributes.
func messages(b []byte, kind uint16, fixed int, yield func(head, attrs []byte)) error {
	for len(b) > 0 {
		if len(b) < unix.SizeofNlMsghdr {
			return errors.New("read netlink message: cut header")
		}
		size := int(binary.NativeEndian.Uint32(b))
		if size < unix.SizeofNlMsghdr || size > len(b) {
			return errors.New("read netlink message: length out of bounds")
		}
		body := b[unix.SizeofNlMsghdr:size]
		if binary.NativeEndian.Uint16(b[4:]) == kind && len(body) >= fixed {
			yield(body[:fixed], body[fixed:])
		}
		b = b[min(align4(size), len(b)):]
	}
	return nil
}

// attributes calls yield for each attribute. What is cut ends the list.
func attributes(b []byte, yield func(kind uint16, value []byte)) {
	for len(b) >= unix.SizeofRtAttr {
		size := int(binary.NativeEndian.Uint16(b))
		if size < unix.SizeofRtAttr || size > len(b) {
			return
		}
		yield(binary.NativeEndian.Uint16(b[2:]), b[unix.SizeofRtAttr:size])
		b = b[min(align4(size), len(b)):]
	}
}

func align4(n int) int { return (n + 3) &^ 3 }
