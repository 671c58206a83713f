// Package procfs reads sockets, their holders, containers, settings and
// counters from the text files below /proc.
//
// Parsing stands apart from reading: what takes an io.Reader or bytes works
// anywhere, what touches a machine hangs on FS, whose roots can be moved to a
// tree of fixtures. Files are named as the kernel's are.
package procfs
