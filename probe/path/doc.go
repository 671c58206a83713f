// Package path measures the way to a peer: how long it keeps connections that are
// idle, and whether the peer answers keepalive probes. It sends no data but what it is
// told to, needs no privilege, and asks the kernel alone what has crossed.
package path
