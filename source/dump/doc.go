// Package dump reads what people paste into a ticket: the text that ss(8),
// netstat(8) and lsof(8) print, and copies of /proc/net/tcp and tcp6. Which of
// them it is shows in the text.
//
// Such text tells less than the kernel does, and what it tells hangs on the
// options it was made with. A Dump claims no fact that the text does not prove.
package dump
