package scenarios

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/tcpvet/tcpvet/lab"
)

// site is a server block of nginx. It answers every request with "stock\n".
type site struct {
	On     netip.AddrPort
	Listen string // what else stands on the listen line: "so_keepalive=on"
	Idle   string // keepalive_timeout
	Also   string // further directives
	Before string // what stands before the block: an upstream
}

// siteConfig is for one process, which writes nothing outside of its own /tmp. In
// a user namespace there is no other user than root.
const siteConfig = `user root;
daemon off;
master_process off;
pid /tmp/pid;
error_log stderr;
events { worker_connections %d; }
http {
    access_log off;
    default_type text/plain;
    client_body_temp_path /tmp/body;
    proxy_temp_path /tmp/proxy;
    fastcgi_temp_path /tmp/fastcgi;
    uwsgi_temp_path /tmp/uwsgi;
    scgi_temp_path /tmp/scgi;
%s}
`

// nginxConnections is enough for scenarios that fill no range of ports.
const nginxConnections = 256

// startSites starts nginx, for so many connections at once, and waits until it
// listens.
func startSites(ctx context.Context, on *lab.Host, connections int, sites ...site) (*lab.Process, error) {
	var blocks strings.Builder
	for _, s := range sites {
		fmt.Fprintf(&blocks, "    %s\n    server {\n        listen %s %s;\n        keepalive_timeout %s;\n        keepalive_requests 1000000;\n        %s\n        location / { return 200 \"stock\\n\"; }\n    }\n",
			s.Before, s.On, s.Listen, s.Idle, s.Also)
	}
	p, err := on.Program(ctx, lab.Program{
		Name: "nginx", Args: []string{"-e", "stderr", "-c", "/tmp/nginx.conf"},
		Setup: lab.Setup{
			Files:       map[string]string{"/tmp/nginx.conf": fmt.Sprintf(siteConfig, connections, blocks.String())},
			Descriptors: connections + ownDescriptors,
		},
	})
	if err != nil {
		return nil, err
	}
	for _, s := range sites {
		if err := on.Listening(ctx, s.On); err != nil {
			return nil, err
		}
	}
	return p, nil
}
