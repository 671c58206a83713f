// Package rules lists every rule. Each lives in the folder of its name, with
// its page, its test and its fixtures.
package rules

import (
	acceptqueuefull "github.com/tcpvet/tcpvet/rules/accept-queue-full"
	boundports "github.com/tcpvet/tcpvet/rules/bound-ports"
	closewaitleak "github.com/tcpvet/tcpvet/rules/close-wait-leak"
	conntrackpressure "github.com/tcpvet/tcpvet/rules/conntrack-pressure"
	descriptorlimit "github.com/tcpvet/tcpvet/rules/descriptor-limit"
	establishedgrowth "github.com/tcpvet/tcpvet/rules/established-growth"
	finwait2pileup "github.com/tcpvet/tcpvet/rules/fin-wait-2-pileup"
	halfopen "github.com/tcpvet/tcpvet/rules/half-open"
	ipv6localhost "github.com/tcpvet/tcpvet/rules/ipv6-localhost"
	keepalivetoolate "github.com/tcpvet/tcpvet/rules/keepalive-too-late"
	lastackpileup "github.com/tcpvet/tcpvet/rules/last-ack-pileup"
	nokeepalive "github.com/tcpvet/tcpvet/rules/no-keepalive"
	orphanpressure "github.com/tcpvet/tcpvet/rules/orphan-pressure"
	portexhaustion "github.com/tcpvet/tcpvet/rules/port-exhaustion"
	synrecvpileup "github.com/tcpvet/tcpvet/rules/syn-recv-pileup"
	synsentpileup "github.com/tcpvet/tcpvet/rules/syn-sent-pileup"
	sysctlantipattern "github.com/tcpvet/tcpvet/rules/sysctl-antipattern"
	tablelesssockets "github.com/tcpvet/tcpvet/rules/tableless-sockets"
	timewaitpressure "github.com/tcpvet/tcpvet/rules/time-wait-pressure"
	unreaddata "github.com/tcpvet/tcpvet/rules/unread-data"
	"github.com/tcpvet/tcpvet/vet"
)

// All holds the rules in the order in which they are judged, listed and reported:
// causes before what they cause.
var All = []*vet.Rule{
	closewaitleak.Rule,
	tablelesssockets.Rule,
	establishedgrowth.Rule,
	acceptqueuefull.Rule,
	unreaddata.Rule,
	synrecvpileup.Rule,
	halfopen.Rule,
	synsentpileup.Rule,
	sysctlantipattern.Rule,
	timewaitpressure.Rule,
	boundports.Rule,
	portexhaustion.Rule,
	descriptorlimit.Rule,
	finwait2pileup.Rule,
	lastackpileup.Rule,
	nokeepalive.Rule,
	keepalivetoolate.Rule,
	ipv6localhost.Rule,
	orphanpressure.Rule,
	conntrackpressure.Rule,
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
