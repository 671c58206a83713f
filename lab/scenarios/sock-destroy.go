package scenarios

import (
	"github.com/tcpvet/tcpvet/internal/kernel"
	"github.com/tcpvet/tcpvet/lab"
)

// destroying is the need of a kernel that can end a TCP socket from outside, as
// ss -K has it do.
var destroying = lab.Feature("SOCK_DESTROY", kernel.SockDestroy)
