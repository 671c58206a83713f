package live

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/tcpvet/tcpvet/probe"
)

// files are where the names of a place are looked up.
type files struct{ hosts, conf string }

// filesOf gives those of a process's mount namespace, else those that ip netns exec
// mounts for a namespace of that name (ip-netns(8)), else one's own.
func filesOf(pid int, names []string) files {
	if pid != 0 {
		root := fmt.Sprintf("/proc/%d/root", pid)
		return files{root + "/etc/hosts", root + "/etc/resolv.conf"}
	}
	f := files{"/etc/hosts", "/etc/resolv.conf"}
	for _, name := range names {
		dir := filepath.Join("/etc/netns", name)
		if _, err := os.Stat(dir + "/hosts"); err == nil {
			f.hosts = dir + "/hosts"
		}
		if _, err := os.Stat(dir + "/resolv.conf"); err == nil {
			f.conf = dir + "/resolv.conf"
		}
	}
	return f
}

// read gives the text of a file, "" where it does not exist.
func read(file string) (string, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if errors.Is(err, fs.ErrPermission) {
		return "", fmt.Errorf("%w; another user's process needs root", err)
	}
	return string(text), err
}

// resolve finds the addresses of the host, as Go's resolver does: a hosts file goes
// before the DNS. It runs on the calling thread, in its network namespace. r tells
// how the addresses of a name were looked for; an error, that a file could not
// be read.
func resolve(ctx context.Context, q *Question, f files) (found []probe.Origin, r probe.Resolution, err error) {
	if addr, err := netip.ParseAddr(q.Host); err == nil {
		return []probe.Origin{{Addr: named(addr.Unmap()), From: "as given"}}, r, nil
	}
	r = probe.Resolution{Name: q.Host, Hosts: f.hosts, Conf: f.conf}
	kinds := []dnsmessage.Type{dnsmessage.TypeAAAA, dnsmessage.TypeA}
	switch q.Family {
	case 4:
		kinds, r.Family = kinds[1:], "IPv4 "
	case 6:
		kinds, r.Family = kinds[:1], "IPv6 "
	}
	hosts, err := read(f.hosts)
	if err != nil {
		return nil, r, err
	}
	r.Lines = linesWith(hosts, q.Host)
	for _, addr := range inHosts(hosts, q.Host) {
		if addr = addr.Unmap(); q.fits(addr) {
			found = append(found, probe.Origin{Addr: addr, From: f.hosts})
		}
	}
	if len(found) > 0 {
		return found, r, nil
	}
	conf, err := read(f.conf)
	if err != nil {
		return nil, r, err
	}
	dns := parseResolv(conf)
	for _, s := range dns.servers {
		r.Servers = append(r.Servers, s.String())
	}
	addrs, server, err := dns.lookup(ctx, q.Host, kinds)
	if ctx.Err() != nil {
		return nil, r, ctx.Err()
	}
	if err != nil && !errors.Is(err, errNoName) {
		r.Err = err.Error()
	}
	for _, addr := range addrs {
		found = append(found, probe.Origin{Addr: addr.Unmap(), From: "DNS " + server.String()})
	}
	return found, r, nil
}
