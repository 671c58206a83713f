// Package keepalive keeps the TCP connections of a program healthy and within its local
// ports: a dialer and an HTTP transport that ask the kernel for what net/http leaves
// out, and that say what is wrong when a connection cannot be opened or is forgotten.
//
//	client := &http.Client{Transport: keepalive.Transport(keepalive.Options{})}
//
// That alone probes idle peers, gives up on data that nobody acknowledges, keeps enough
// idle connections that a burst does not become TIME-WAITs, and bounds each wait. Three
// options do more:
//
//   - Budget waits, or fails fast, before the local ports to one destination run out.
//   - TrackLeaks tells which line opened a connection that the peer has closed and the
//     program has not.
//   - ServerIdle lets go of idle connections before the server does.
//
// Without a Budget too, an error "cannot assign requested address" that is due to
// ports comes back as a *PortsExhausted, which says who has them.
//
// # Systems
//
// Keepalive is set on all systems that package net knows. A bound for data in flight
// (UserTimeout) exists on Linux, macOS and Windows, states for TrackLeaks on Linux and
// macOS. What reads the kernel's ports, PortsExhausted and a Budget without Ports, is
// for Linux; elsewhere a Budget counts what it has let through itself.
//
// TCP_NODELAY stays on, as package net sets it: these options are added to its own.
package keepalive
