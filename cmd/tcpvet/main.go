// Command tcpvet finds and explains what is wrong with a host's TCP
// connections.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/tcpvet/tcpvet/internal/cli"
)

func main() {
	ctx, stop := context.Background(), func() {}
	if !cli.OwnSignals(os.Args[1:]) {
		ctx, stop = signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	}
	status := cli.Main(ctx, cli.IO{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, os.Args[1:])
	stop()
	os.Exit(status)
}
