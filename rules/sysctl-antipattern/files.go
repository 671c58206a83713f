package sysctlantipattern

import (
	"fmt"
	"strings"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

const finSetting = "net.ipv4.tcp_fin_timeout"

// inFiles judges the lines of files. Of one name the last holds.
func inFiles(c *tcpvet.Census) []tcpvet.Finding {
	last := make(map[string]tcpvet.Setting)
	for _, s := range c.Host.Settings {
		last[s.Name] = s
	}
	var findings []tcpvet.Finding
	if s, ok := last[recycleSetting]; ok {
		n := c.Netns[c.Self]
		live, has := n.SysctlInt(recycleSetting)
		switch {
		case n.Sysctls != nil && !has:
			f := inFile(c, s, "tw-recycle", tcpvet.Info, "sets tcp_tw_recycle, which this kernel does not have")
			f.Detail = append(f.Detail, "It is gone since Linux 4.12: `sysctl -p` reports an error for the line, and nothing else happens.")
			findings = append(findings, f)
		case has && live == 0 && s.Value != "0":
			f := inFile(c, s, "tw-recycle", tcpvet.Warning, "sets tcp_tw_recycle at the next boot")
			f.Detail = append(f.Detail, "It is off now. When it is on, this kernel drops the SYNs of clients that share an address.")
			findings = append(findings, f)
		}
	}
	if s, ok := last[finSetting]; ok && s.Value != "60" {
		f := inFile(c, s, "fin-timeout", tcpvet.Info, "sets tcp_fin_timeout, which does not shorten TIME-WAIT")
		f.Certainty = tcpvet.Likely
		f.Detail = append(f.Detail,
			"If it is meant against TIME-WAIT it does nothing: that lasts 60 s, compiled in. It rules FIN-WAIT-2 that nobody holds.")
		findings = append(findings, f)
	}
	return findings
}

// inFile begins a finding about a line.
func inFile(c *tcpvet.Census, s tcpvet.Setting, kind string, severity tcpvet.Severity, about string) tcpvet.Finding {
	file := vet.Plain(s.File)
	return tcpvet.Finding{
		Rule: name, Severity: severity, Kind: kind,
		Subject: tcpvet.Subject{Netns: c.Self},
		Title:   vet.Heading(c, c.Self, nil, "", file+" "+about),
		Detail:  []string{fmt.Sprintf("Line %d of %s sets %s to %s.", s.Line, file, s.Name, vet.Plain(s.Value))},
		Numbers: []tcpvet.Number{{Name: "settings", Value: 1}, {Name: "line", Value: float64(s.Line)}},
		Evidence: []tcpvet.Evidence{{
			What: s.Name + " in " + file, Got: s.Value,
			Check: fmt.Sprintf("awk -F= 'NR == %d {gsub(/[ \\t]/, \"\", $2); print $2}' %s", s.Line, path(s.File)),
		}},
		Remedies: []tcpvet.Remedy{
			tcpvet.Advise{Text: "take the line out", Run: "tcpvet explain " + strings.TrimPrefix(s.Name, "net.ipv4.")},
			tcpvet.Advise{Code: true, Text: "against TIME-WAIT, keep connections open and use them again", Run: "tcpvet explain time-wait"},
		},
	}
}

// path makes the name of a file one word for a shell.
func path(file string) string {
	if vet.Quote(strings.ReplaceAll(file, "/", "")) == strings.ReplaceAll(file, "/", "") {
		return file
	}
	return vet.Quote(file)
}
