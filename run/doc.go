// Package run gives the new sockets of a program, or of all that runs in a cgroup,
// keepalive, a user timeout and more local ports, whatever they are written in.
//
// BPF programs of the cgroup see each socket as it connects or is accepted. They go
// with the process that attached them, or stay, pinned, until they are stopped.
package run
