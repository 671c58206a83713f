// Package sysctlantipattern finds settings that harm, or that do not do what they
// are set for.
package sysctlantipattern

import (
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

const name = "sysctl-antipattern"

const (
	// few ports bear so little that a script in a loop uses them up.
	few = 1000

	// most of the range is reserved from here on.
	most = 0.50

	// brief is how long a path may be away when it fails over.
	brief = 10 * time.Second

	// hasty is how long keepalive has to bear an outage at the least.
	hasty = 5 * time.Second

	// endless is when nobody waits for connect() any more.
	endless = 10 * time.Minute

	// named is how many namespaces with one fault get a finding of their own.
	named = 3
)

// Rule finds settings of a namespace, and lines of files of sysctl(8).
var Rule = &vet.Rule{
	Name:  name,
	Needs: tcpvet.FactSysctls,
	Judge: judge,
	Doc: vet.Doc{
		Title: "a kernel setting harms, or does not do what it is set for",
		Text: []string{
			"Advice on `sysctl` lines is copied from host to host for decades. Some of it never worked, some has stopped to work, and some breaks connections on the first bad day. Only what is sure is reported; whether a setting that is merely unusual is wise, the rule does not judge.",
			"`reuse-without-timestamps`: `tcp_tw_reuse=1` with `tcp_timestamps=0`. The kernel reuses a TIME-WAIT only if its connection had timestamps (tcp_twsk_unique): for what is opened now, the setting does nothing.",
			"`range-tiny`, `reserved-most`: connect() has few ports to choose from, by `ip_local_port_range` or since `ip_local_reserved_ports` covers most of it. Where none is left at all, port-exhaustion says so.",
			"`tw-buckets`: more TIME-WAITs than `tcp_max_tw_buckets`. What comes above is dropped at once, and TcpExtTCPTimeWaitOverflow counts it: a FIN that the peer sends again is then answered by an RST, and old segments can reach a new connection.",
			"`abort-on-overflow`: `tcp_abort_on_overflow=1` turns a burst that clients would have sat out into resets.",
			"`retries-brief`, `keepalive-hasty`, `connect-endless`: times that end healthy connections in a short outage, or that let connect() wait for many minutes. Keepalive times concern sockets with SO_KEEPALIVE that set none of their own.",
			"`tw-recycle`: gone since Linux 4.12; before, it dropped the SYNs of clients behind one address. `fin-timeout`: a file sets `tcp_fin_timeout`, mostly against TIME-WAIT, which it does not touch: it rules FIN-WAIT-2 that nobody holds. Why it was set no file says, so that is *likely* only. Of files the last line with a name counts; they are those that `sysctl --system` reads, as the one who looks sees them.",
		},
		Numbers: []vet.Number{
			{Name: "range-tiny, warning", Value: "under " + vet.Count(few) + " ports", Reason: "1,000 ports bear 1,000 / 60 s = 16 connections a second to one endpoint; a single script opens more"},
			{Name: "reserved-most, warning", Value: vet.Percent(most) + " of the range", Reason: "two settings work against each other: the range says one thing, and connect() gets less than half of it"},
			{Name: "tw-buckets, warning", Value: "TIME-WAITs at the limit, or TCPTimeWaitOverflow 1 more between looks", Reason: "what is closed now gets no TIME-WAIT; info where the counter stands above 0 and nothing more is known"},
			{Name: "abort-on-overflow", Value: "1", Reason: "info; warning where ListenOverflows rose between looks, for then clients were reset"},
			{Name: "retries-brief, info", Value: "under " + vet.Duration(brief), Reason: "the least time for which data is sent again (tcp_model_timeout): tcp_retries2 of 4 gives 6.2 s, 5 gives 12.6 s. RFC 1122 asks for 100 s, which is 8; a path that fails over can be away for seconds"},
			{Name: "keepalive-hasty, info", Value: "1 probe, or under " + vet.Duration(hasty) + " of probes", Reason: "one lost segment, or an outage as short as that, ends an idle connection that is well"},
			{Name: "connect-endless, info", Value: "over " + vet.Duration(endless) + " of SYNs", Reason: "tcp_syn_retries of 10 gives 1 + 2 + ... + 64 + 4 x 120 s = 10 min 7 s at the least; nobody waits so long, and the port is taken meanwhile"},
			{Name: "findings of its own", Value: vet.Counted(named, "namespace"), Reason: "of one fault; a host with a thousand containers of one image would else have as many findings"},
		},
		Cure: []string{
			"Put back the kernel's default, and take the line out of the file that sets it: `grep -rs NAME /etc/sysctl.conf /etc/sysctl.d /run/sysctl.d /usr/lib/sysctl.d` finds it.",
			"`tcpvet fix sysctl` plans these for the namespaces that it looked at, and can undo them. With `--persist` it keeps them for the next boot, which a line in a file that is read later overrides.",
			"Cure the cause that the setting was meant for: keep connections open and use them again, close what the peer has closed, accept in time.",
		},
		Never: []string{
			"Another setting in its place before the cause is known.",
			"tcp_tw_recycle on an old kernel, whatever the load: clients behind NAT are dropped at random.",
			"A small tcp_max_tw_buckets to be rid of TIME-WAIT: it takes away what TIME-WAIT is for, and sends RSTs.",
		},
		See: []string{
			"Documentation/networking/ip-sysctl.rst; sysctl(8), sysctl.conf(5)",
			"RFC 1122 section 4.2.3.5; RFC 9293 section 3.6.1",
			"kernel functions tcp_twsk_unique, inet_twsk_alloc, tcp_model_timeout, tcp_check_req",
		},
	},
}
