// Package establishedgrowth finds processes that open connections while those
// that they have lie idle.
package establishedgrowth

import (
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

const name = "established-growth"

const (
	// more of them between two looks are no chance.
	more = 10

	// rise is the part of what was there by which it must have grown: ten more
	// of ten thousand is a pool that breathes.
	rise = 0.10

	// base is how many there must have been before: a pool that fills at the
	// start of a program grows too.
	base = 10

	// lazy is the part of those that were there before that must have lain idle
	// all the time between the looks.
	lazy = 0.50

	// many more between two looks is fast, wherever it ends.
	many = 100

	// used is the part of its descriptors from which on a server's growth is a
	// warning: clients that come and wait are what many servers are for.
	used = 0.50

	// soon is when the end is near enough to act now.
	soon = time.Hour
)

// Rule finds pools without a bound, and servers whose clients never leave.
var Rule = &vet.Rule{
	Name:     name,
	Needs:    tcpvet.FactInfo | tcpvet.FactHolders,
	Compares: true,
	Judge:    judge,
	Doc: vet.Doc{
		Title: "connections grow in number while those that are there lie idle",
		Text: []string{
			"A client with a pool opens a connection when none is idle. One that opens more and more while half of what it has was not used at all has no pool, or several: a client object per request, connections that are taken and not given back, a pool without a bound. Nothing fails until the local ports to the service or the descriptors of the process are used up.",
			"At a server (kind *server*) the same means that clients come and do not leave: they leak in their way, or the server has no idle limit. Its end is the limit of descriptors.",
			"Growth shows between two looks only: `tcpvet diagnose --interval 10s`, or `--from before.jsonl --from now.jsonl`. With one look this rule says nothing, and is not in the list of what was not judged. Connections idle for the whole time between the looks were surely not used in it; ages are counted by powers of two of milliseconds, so for 10 s it takes 16.4 s. Where pasted text does not tell when it was taken, idle for patience counts, and there is no rate.",
			"Two looks do not tell a leak from a pool that fills up to its bound, so the finding is *likely* only. A longer interval tells more.",
		},
		Numbers: []vet.Number{
			{Name: "info", Value: vet.Count(more) + " more between looks, and " + vet.Percent(rise) + " more", Reason: "ten more of ten thousand is a pool that breathes"},
			{Name: "before", Value: vet.Counted(base, "socket") + " at the earlier look", Reason: "a pool that fills at the start of a program grows too, and has nothing idle to use"},
			{Name: "idle", Value: vet.Percent(lazy) + " of those not used between the looks", Reason: "with that many at hand no new one was needed; a load that rises uses what is there"},
			{Name: "warning, growth", Value: vet.Count(many) + " more between looks", Reason: "that fast is a loop, whatever the bound"},
			{Name: "warning, server", Value: "past " + vet.Percent(used) + " of its descriptors", Reason: "clients that connect and wait are what many servers are for, and new ones cannot use the connections of others"},
			{Name: "warning, end", Value: "ports or descriptors used up in under " + vet.Duration(soon), Reason: "as close-wait-leak: time to act is short"},
		},
		Cure: []string{
			"In the client: one client object for the program, with a bound on its pool, and each connection given back on every path, errors too.",
			"In the server: an idle limit (nginx `keepalive_timeout`), and a limit of connections for each client.",
		},
		Never: []string{
			"A wider net.ipv4.ip_local_port_range or a higher limit of descriptors: the same end, only later.",
			"SO_KEEPALIVE against it: the peers are alive, and it keeps the idle connections where they are.",
		},
		See: []string{
			"RFC 9112 section 9.4, on how many connections a client should open",
			"ss(8)",
		},
	},
}
