package scenarios

import "github.com/tcpvet/tcpvet/lab"

// soundRange is the size of a local port range from which on
// sysctl-antipattern does not call it tiny.
const soundRange = 1000

// inRange gives the rules that a moment expects, on a host whose local port range
// has as many ports as the stage is told: a tiny range is a finding of its own.
func inRange(s *lab.Stage, rules ...string) []string {
	if s.Ports < soundRange {
		return append(rules, "sysctl-antipattern")
	}
	return rules
}
