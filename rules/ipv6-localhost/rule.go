// Package ipv6localhost finds processes to which localhost means an address that
// nobody has.
package ipv6localhost

import (
	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

const name = "ipv6-localhost"

const (
	// named is how many namespaces get a finding of their own, of each kind.
	named = 3

	// listed is how many processes a title names.
	listed = 3
)

// Rule finds hosts files that give ::1 for localhost where no interface has it.
var Rule = &vet.Rule{
	Name:  name,
	Needs: tcpvet.FactHosts | tcpvet.FactAddresses,
	Judge: judge,
	Doc: vet.Doc{
		Title: "localhost means ::1, and nobody has that address",
		Text: []string{
			"The hosts file of a container gives `::1` for `localhost`, and in its network namespace IPv6 is off, or `lo` is down. Then `connect()` to `::1` fails with EADDRNOTAVAIL (99), \"Cannot assign requested address\", and `bind()` likewise: the very error of used-up ports, with every port free.",
			"`only`: the file gives nothing but `::1`. getaddrinfo() of glibc then returns `::1` alone, and so do the resolvers of Go and musl: whatever connects to localhost fails.",
			"`first`: `::1` stands before `127.0.0.1`. glibc puts the address that can be reached first, and most programs try the next one; one that takes the first line of the file, or reports the last error, shows Errno 99. Where `127.0.0.1` stands first all is well, and nothing is found.",
			"Looked at is the file `/etc/hosts` that each process sees which holds a TCP socket. Names that a DNS server resolves are not known here.",
		},
		Numbers: []vet.Number{
			{Name: "warning, only", Value: "1 process", Reason: "each connect() to localhost fails, but whether the process ever asks for that name does not show"},
			{Name: "info, first", Value: "1 process", Reason: "most resolvers and programs go on to 127.0.0.1"},
			{Name: "findings of its own", Value: vet.Counted(named, "namespace"), Reason: "of each kind; containers of one image share the fault, and the rest are counted in one finding more"},
		},
		Cure: []string{
			"Give localhost an IPv4 address first: the line `127.0.0.1 localhost` before the one with `::1`, in the image or by the container's runtime.",
			"Or let the namespace have `::1`: `net.ipv6.conf.lo.disable_ipv6=0`, with `lo` up. `tcpvet fix sysctl` plans it, for as long as the namespace lives.",
			"Or connect to `127.0.0.1` by its number.",
		},
		Never: []string{
			"A wider port range or tcp_tw_reuse: no port is short.",
			"`net.ipv6.conf.all.disable_ipv6=1` against it: that is what causes it where the hosts file still names `::1`.",
		},
		See: []string{
			"hosts(5), getaddrinfo(3), RFC 6724 section 6",
			"Documentation/networking/ip-sysctl.rst, disable_ipv6",
		},
	},
}
