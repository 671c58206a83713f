package scenarios

// Unstaged lists the rules that no scenario stages, each with the reason. They
// are judged on recorded fixtures.
var Unstaged = []struct{ Rule, Reason string }{
	{"conntrack-pressure", "nf_conntrack_max is one for all namespaces of the host, and read-only in a child: the table cannot be filled without hurting the host"},
	{"orphan-pressure", "tcp_max_orphans is a setting of the host alone: its limit cannot be reached without hurting the host"},
}
