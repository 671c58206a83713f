// Callers waits in a chain of calls, of which one is inlined.
package main

import (
	"fmt"
	"syscall"
)

//go:noinline
func dial(fd int) int {
	var buf [64]byte
	n, _, _ := syscall.Recvfrom(fd, buf[:], 0) // mark: recv
	return n
}

func small(fd int) int {
	return dial(fd) + 1 // mark: dial
}

type pool struct{ fd int }

//go:noinline
func (p *pool) get() int {
	return small(p.fd) + 1 // mark: small
}

func main() {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		panic(err)
	}
	fmt.Println("ready")
	func() {
		fmt.Println((&pool{fds[0]}).get()) // mark: get
	}() // mark: end
}
