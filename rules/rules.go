// Package rules lists every rule. Each lives in the folder of its name, with
// its page, its test and its fixtures.
package rules

import (
	acceptqueuefull "github.com/tcpvet/tcpvet/rules/accept-queue-full"
	closewaitleak "github.com/tcpvet/tcpvet/rules/close-wait-leak"
	finwait2pileup "github.com/tcpvet/tcpvet/rules/fin-wait-2-pileup"
	nokeepalive "github.com/tcpvet/tcpvet/rules/no-keepalive"
	portexhaustion "github.com/tcpvet/tcpvet/rules/port-exhaustion"
	timewaitpressure "github.com/tcpvet/tcpvet/rules/time-wait-pressure"
	"github.com/tcpvet/tcpvet/vet"
)

// All holds the rules in the order in which they are judged, listed and reported:
// causes before what they cause.
var All = []*vet.Rule{
	closewaitleak.Rule,
	acceptqueuefull.Rule,
	timewaitpressure.Rule,
	portexhaustion.Rule,
	finwait2pileup.Rule,
	nokeepalive.Rule,
}

// Find gives the rule of that name, nil for none.
func Find(name string) *vet.Rule {
	for _, r := range All {
		if r.Name == name {
			return r
		}
	}
	return nil
}
