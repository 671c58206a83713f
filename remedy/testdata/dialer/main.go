// Command dialer opens a connection to the address that it is given, with Go's default
// keepalive or, as "off" asks, without any, and holds it until its input ends.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
)

func main() {
	var d net.Dialer
	if os.Args[2] == "off" {
		d.KeepAlive = -1
	}
	conn, err := d.Dial("tcp", os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer conn.Close()
	fmt.Println("connected")
	io.Copy(io.Discard, os.Stdin)
}
