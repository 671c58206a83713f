// Package scenarios holds the faults that can be staged, a file each, and the
// acts that several of them share.
package scenarios

import "github.com/tcpvet/tcpvet/lab"

// All holds every scenario, by name.
var All = []*lab.Scenario{
	CloseWaitLeak,
}
