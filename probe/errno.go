package probe

import "fmt"

// Errno is an error of the kernel, by its number on Linux for x86 and ARM;
// 0 for none.
type Errno int

// Those that socket(), bind() and connect() give (include/uapi/asm-generic/errno.h).
const (
	EPERM         Errno = 1
	EACCES        Errno = 13
	EINVAL        Errno = 22
	ENFILE        Errno = 23
	EMFILE        Errno = 24
	EAFNOSUPPORT  Errno = 97
	EADDRINUSE    Errno = 98
	EADDRNOTAVAIL Errno = 99
	ENETDOWN      Errno = 100
	ENETUNREACH   Errno = 101
	ECONNABORTED  Errno = 103
	ECONNRESET    Errno = 104
	ETIMEDOUT     Errno = 110
	ECONNREFUSED  Errno = 111
	EHOSTUNREACH  Errno = 113
)

var errnos = map[Errno]struct{ name, text string }{
	EPERM:         {"EPERM", "Operation not permitted"},
	EACCES:        {"EACCES", "Permission denied"},
	EINVAL:        {"EINVAL", "Invalid argument"},
	ENFILE:        {"ENFILE", "Too many open files in system"},
	EMFILE:        {"EMFILE", "Too many open files"},
	EAFNOSUPPORT:  {"EAFNOSUPPORT", "Address family not supported by protocol"},
	EADDRINUSE:    {"EADDRINUSE", "Address already in use"},
	EADDRNOTAVAIL: {"EADDRNOTAVAIL", "Cannot assign requested address"},
	ENETDOWN:      {"ENETDOWN", "Network is down"},
	ENETUNREACH:   {"ENETUNREACH", "Network is unreachable"},
	ECONNABORTED:  {"ECONNABORTED", "Software caused connection abort"},
	ECONNRESET:    {"ECONNRESET", "Connection reset by peer"},
	ETIMEDOUT:     {"ETIMEDOUT", "Connection timed out"},
	ECONNREFUSED:  {"ECONNREFUSED", "Connection refused"},
	EHOSTUNREACH:  {"EHOSTUNREACH", "No route to host"},
}

// Name gives "EADDRNOTAVAIL", "" for one that is not named here.
func (e Errno) Name() string { return errnos[e].name }

// String gives name and number: "EADDRNOTAVAIL (99)".
func (e Errno) String() string {
	if known, ok := errnos[e]; ok {
		return fmt.Sprintf("%s (%d)", known.name, int(e))
	}
	return fmt.Sprintf("errno %d", int(e))
}

// Message is what the C library says of it: "Cannot assign requested address".
func (e Errno) Message() string {
	if known, ok := errnos[e]; ok {
		return known.text
	}
	return e.String()
}
