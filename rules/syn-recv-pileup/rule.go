// Package synrecvpileup finds listeners whose handshakes are not completed.
package synrecvpileup

import (
	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

const name = "syn-recv-pileup"

const (
	// some handshakes that have waited for a second and more are no far
	// clients.
	some = 10

	// many of them are not the background of the Internet.
	many = 100

	// crowded is the part of a listener's limit that unfinished handshakes may
	// take: past half of it the kernel gives up the older ones sooner.
	crowded = 0.50
)

// Rule finds listeners whose handshakes stay unfinished.
var Rule = &vet.Rule{
	Name:  name,
	Needs: tcpvet.FactTimer | tcpvet.FactListeners | tcpvet.FactBacklogMax,
	Judge: judge,
	Doc: vet.Doc{
		Title: "handshakes that are begun and not completed",
		Text: []string{
			"A SYN came to a listener, the kernel answered with SYN-ACK, and the ACK that completes the handshake is missing: SYN-RECV. It takes one round trip when all is well. Where the ACK does not come, the kernel sends the SYN-ACK again after 1, 2, 4, ... s, `tcp_synack_retries` times: 63 s in all by default. No process and no descriptor is concerned.",
			"Each listener keeps as many of them as its backlog, the Send-Q that `ss -ltn` shows. Beyond that the kernel answers with SYN cookies (`tcp_syncookies` 1, the default), which keep nothing and lose some options of the connection, or drops what comes (`tcp_syncookies` 0).",
			"*full*: a listener is there. *unfinished*: it is not, but many wait. *accept-queue*: the ACKs did come, and were dropped, since the accept queue of that listener is full: accept-queue-full is the cause. *dropped* and *cookies* are counters that rose between two looks, while no listener shows it now.",
			"A SYN flood does this: its addresses are forged, so nobody answers. So does a way back that loses the SYN-ACKs or a firewall that drops the ACKs; then real clients time out. `ss -tn state syn-recv` shows which: thousands of addresses, or those of clients that you know.",
		},
		Numbers: []vet.Number{
			{Name: "info", Value: vet.Counted(some, "handshake") + " of a listener whose SYN-ACK was sent again", Reason: "that takes a second, longer than any round trip; a few are scanners that never answer"},
			{Name: "warning", Value: vet.Counted(many, "handshake") + ", or some and over " + vet.Percent(crowded) + " of the limit", Reason: "past half of its limit the kernel gives up the older ones sooner (reqsk_timer_handler), which far clients feel"},
			{Name: "full, warning", Value: "as many as the limit, most of them sent again", Reason: "the kernel's own test (inet_csk_reqsk_queue_is_full): what comes next gets a cookie; under " + vet.Counted(some, "handshake") + " it is info, for a small backlog fills by chance"},
			{Name: "full, critical", Value: "tcp_syncookies = 0", Reason: "what comes next is dropped: new clients time out now. Then the limit is 3/4 of tcp_max_syn_backlog where that is less (tcp_conn_request)"},
			{Name: "accept queue", Value: "info", Reason: "accept-queue-full judges it"},
			{Name: "warning, counters", Value: "1 more between looks of TCPReqQFullDrop", Reason: "each is a SYN that was dropped; which listener it was the counter does not say, so the finding is *likely* only"},
			{Name: "info, counters", Value: vet.Counted(some, "cookie") + " more between looks (TCPReqQFullDoCookies)", Reason: "a burst that cookies carried; without meaning where tcp_syncookies is 2, which always sends them"},
		},
		Cure: []string{
			"Look at the addresses. If they are forged, SYN cookies carry the service: keep `tcp_syncookies` at 1, and filter upstream.",
			"If they are clients that you know, look at the way back: a route that goes elsewhere (rp_filter, a second uplink), a firewall that sees one direction only.",
			"For bursts of real clients: a larger backlog in `listen()`, and `net.core.somaxconn` not below it.",
		},
		Never: []string{
			"tcp_syncookies=0: a flood then shuts out everybody.",
			"A larger net.ipv4.tcp_max_syn_backlog against a flood: with SYN cookies on it is not even looked at, and without them the flood fills it too.",
		},
		See: []string{
			"RFC 4987; RFC 9293 section 3.5",
			"Documentation/networking/ip-sysctl.rst, tcp_syncookies, tcp_max_syn_backlog and tcp_synack_retries",
			"kernel functions tcp_conn_request and inet_csk_reqsk_queue_is_full",
		},
	},
}
