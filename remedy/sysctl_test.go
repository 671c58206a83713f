package remedy

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet"
)

func TestParseSetting(t *testing.T) {
	for text, want := range map[string][2]string{
		"net.ipv4.tcp_tw_reuse=1":                         {"net.ipv4.tcp_tw_reuse", "1"},
		" net/ipv4/tcp_tw_reuse = 1 ":                     {"net.ipv4.tcp_tw_reuse", "1"},
		"net.ipv4.ip_local_port_range=10240\t 60999":      {"net.ipv4.ip_local_port_range", "10240 60999"},
		"net.ipv4.ip_local_reserved_ports=":               {"net.ipv4.ip_local_reserved_ports", ""},
		"net.ipv6.conf.eth0/5.disable_ipv6=0":             {"net.ipv6.conf.eth0/5.disable_ipv6", "0"},
		"net/ipv6/conf/eth0.5/disable_ipv6=0":             {"net.ipv6.conf.eth0/5.disable_ipv6", "0"},
		"net.ipv4.ip_local_reserved_ports=80,9000-9002":   {"net.ipv4.ip_local_reserved_ports", "80,9000-9002"},
		"net.ipv4.tcp_allowed_congestion_control=reno cu": {"net.ipv4.tcp_allowed_congestion_control", "reno cu"},
	} {
		s, err := ParseSetting(text)
		if err != nil || s.Name != want[0] || s.Value != want[1] {
			t.Errorf("%q: %q %q, %v; want %q", text, s.Name, s.Value, err, want)
		}
	}
	for _, text := range []string{
		"", "net.ipv4.tcp_tw_reuse", "=1", "net.ipv4.tcp_tw_reuse=", "#net.ipv4.tcp_tw_reuse=1", "kernel.panic=1", "kernel.random.boot_id=1", "net.ipv4.tcp_tw_reuse=1\x00", "net.ipv4=1", "net..ipv4.x=1",
		"net.ipv4.tcp_tw_reuse=1\nkernel.panic=1", "net/../../kernel/panic=1", "net.ipv4.//.x=1", "net.ipv4.///.x=1", "net.ipv4.$(id).x=1", "net.ipv4.x y=1",
		"net.ipv4." + strings.Repeat("x", 300) + "=1", "net.ipv4.a\x00=1", "net.ipv4.tcp\x1b_x=1",
	} {
		s, err := ParseSetting(text)
		if err == nil || !strings.HasPrefix(err.Error(), "parse setting") {
			t.Errorf("%q is read as %+v, %v", text, s, err)
		}
	}
}

func FuzzParseSetting(f *testing.F) {
	f.Add("net.ipv4.tcp_tw_reuse=1")
	f.Add("net/../../etc=1")
	f.Add("net.ipv6.conf.eth0/5.disable_ipv6=0")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSetting(text)
		if err != nil {
			return
		}
		path, err := settingPath(s.Name)
		if err != nil || !strings.HasPrefix(path, "/proc/sys/net/") || strings.Contains(path, "..") && strings.Contains("/"+path+"/", "/../") {
			t.Fatalf("%q leads to %q, %v", text, path, err)
		}
		// What it is written as means the same.
		again, err := ParseSetting(s.Name + "=" + s.Value)
		if err != nil || again != s {
			t.Fatalf("%q is %+v, and that is %+v, %v", text, s, again, err)
		}
	})
}

func TestRefusals(t *testing.T) {
	const id = 7
	usual := map[string]string{rangeSetting: "32768 60999", reservedSetting: "", reuseSetting: "2", stampsSetting: "1", bucketsSetting: "65536"}
	with := func(name, value string) map[string]string {
		m := make(map[string]string)
		for k, v := range usual {
			m[k] = v
		}
		m[name] = value
		return m
	}
	found := func(rule string, severity tcpvet.Severity) []tcpvet.Finding {
		return []tcpvet.Finding{{Rule: rule, Severity: severity, Title: "app to 10.0.0.1:80", Subject: tcpvet.Subject{Netns: id}}}
	}
	tuple := tcpvet.Tuple{Netns: id, Remote: netip.MustParseAddrPort("10.0.0.1:80")}
	other := tcpvet.Tuple{Netns: 8, Remote: netip.MustParseAddrPort("10.0.0.1:80")}
	budget := func(n uint32) *tcpvet.Budget {
		b := new(tcpvet.Budget)
		b.Taken[tcpvet.Established] = n
		return b
	}
	census := &tcpvet.Census{Tuples: map[tcpvet.Tuple]*tcpvet.Budget{tuple: budget(1000), other: budget(20000)}}
	about := func(rule string, severity tcpvet.Severity, local, service string, taken float64) tcpvet.Finding {
		f := tcpvet.Finding{Rule: rule, Severity: severity, Title: rule + "   to " + service, Subject: tcpvet.Subject{Netns: id, Service: netip.MustParseAddrPort(service)}}
		if local != "" {
			f.Subject.Local = netip.MustParseAddr(local)
		}
		if taken > 0 {
			f.Numbers = []tcpvet.Number{{Name: "close_wait_sockets", Value: 1}, {Name: leakTakes, Value: taken}, {Name: leakOf, Value: 28232}}
		}
		return f
	}
	// A tenth of the ports is 2,823.2.
	const here, there = "10.0.0.1:80", "10.0.0.2:80"
	leak := []tcpvet.Finding{about("close-wait-leak", tcpvet.Critical, "10.0.0.9", here, 2824)}
	leakAnd := func(f tcpvet.Finding, others ...tcpvet.Finding) []tcpvet.Finding { return append(others, f) }
	warned := about("close-wait-leak", tcpvet.Warning, "10.0.0.9", here, 2824)
	several := about("close-wait-leak", tcpvet.Warning, "", here, 2824)
	for _, test := range []struct {
		name, value string
		now         map[string]string
		also        map[string]string // what the plan sets besides
		findings    []tcpvet.Finding
		want        string // words of the reason, "" for none
	}{
		{name: "net.ipv4.tcp_tw_recycle", value: "1", want: "gone since Linux 4.12"},
		{name: "net.ipv4.tcp_tw_recycle", value: "0"}, // switching it off is right, on a kernel that has it
		{name: "net.ipv4.tcp_fin_timeout", value: "15", want: "compiled in"},
		{name: "net.ipv4.tcp_fin_timeout", value: "15", findings: found("time-wait-pressure", tcpvet.Critical), want: "compiled in"},
		{name: "net.ipv4.tcp_fin_timeout", value: "15", findings: found("fin-wait-2-pileup", tcpvet.Warning)},
		{name: "net.ipv4.tcp_fin_timeout", value: "15", findings: found("orphan-pressure", tcpvet.Warning)},
		{name: "net.netfilter.nf_conntrack_tcp_timeout_time_wait", value: "10", want: "table of connection tracking"},
		{name: "net.netfilter.nf_conntrack_tcp_timeout_time_wait", value: "10", findings: found("conntrack-pressure", tcpvet.Warning)},
		{name: "net.netfilter.nf_conntrack_max", value: "500000"},
		{name: reuseSetting, value: "1"},
		{name: reuseSetting, value: "1", now: with(stampsSetting, "0"), want: "without timestamps"},
		{name: reuseSetting, value: "2", now: with(stampsSetting, "0"), want: "without timestamps"},
		{name: reuseSetting, value: "0", now: with(stampsSetting, "0")},
		{name: reuseSetting, value: "1", now: with(stampsSetting, "0"), also: map[string]string{stampsSetting: "1"}},
		{name: reuseSetting, value: "1", also: map[string]string{stampsSetting: "0"}, want: "without timestamps"},
		{name: stampsSetting, value: "0", now: with(reuseSetting, "1"), want: "PAWS"},
		{name: stampsSetting, value: "0", findings: found("port-exhaustion", tcpvet.Critical), want: "PAWS"},
		{name: stampsSetting, value: "0"},
		{name: stampsSetting, value: "1", now: with(stampsSetting, "0")},
		{name: bucketsSetting, value: "65535", want: "TCPTimeWaitOverflow"},
		{name: bucketsSetting, value: "65536"},
		{name: bucketsSetting, value: "262144"},
		{name: rangeSetting, value: "10240 60999"},
		{name: rangeSetting, value: "10240 60999", findings: leak, want: "close-wait-leak speaks against it (close-wait-leak to 10.0.0.1:80; 2824 of 28232 ports): more ports only delay"},
		{name: rangeSetting, value: "10240 60999", findings: []tcpvet.Finding{about("close-wait-leak", tcpvet.Critical, "10.0.0.9", here, 2823)}},
		{name: rangeSetting, value: "10240 60999", findings: found("close-wait-leak", tcpvet.Critical)}, // of a server
		{name: rangeSetting, value: "10240 60999", findings: leakAnd(about("close-wait-leak", tcpvet.Info, "10.0.0.9", here, 2824), about("port-exhaustion", tcpvet.Critical, "10.0.0.9", here, 0))},
		{name: rangeSetting, value: "10240 60999", findings: leakAnd(warned)},
		{name: rangeSetting, value: "10240 60999", findings: leakAnd(warned, about("port-exhaustion", tcpvet.Warning, "10.0.0.9", here, 0)), want: "only delay"},
		{name: rangeSetting, value: "10240 60999", findings: leakAnd(warned, about("time-wait-pressure", tcpvet.Warning, "10.0.0.9", here, 0)), want: "only delay"},
		{name: rangeSetting, value: "10240 60999", findings: leakAnd(warned, about("port-exhaustion", tcpvet.Info, "10.0.0.9", here, 0))},
		{name: rangeSetting, value: "10240 60999", findings: leakAnd(warned, about("port-exhaustion", tcpvet.Critical, "10.0.0.9", there, 0))},
		{name: rangeSetting, value: "10240 60999", findings: leakAnd(warned, about("port-exhaustion", tcpvet.Critical, "10.0.0.8", here, 0))},
		{name: rangeSetting, value: "10240 60999", findings: leakAnd(leak[0], about("port-exhaustion", tcpvet.Critical, "10.0.0.9", here, 0)), want: "only delay"},
		{name: rangeSetting, value: "10240 60999", findings: leakAnd(leak[0], about("port-exhaustion", tcpvet.Critical, "10.0.0.9", there, 0))},
		{name: rangeSetting, value: "10240 60999", findings: append(slices.Clone(leak), about("time-wait-pressure", tcpvet.Warning, "10.0.0.9", there, 0))},
		{name: rangeSetting, value: "10240 60999", findings: leakAnd(leak[0], about("port-exhaustion", tcpvet.Critical, "10.0.0.9", there, 0), about("close-wait-leak", tcpvet.Warning, "10.0.0.9", there, 2824)), want: "only delay"},
		{name: rangeSetting, value: "10240 60999", findings: leakAnd(leak[0], tcpvet.Finding{Rule: "port-exhaustion", Severity: tcpvet.Critical, Subject: tcpvet.Subject{Netns: id, Services: 7}}), want: "only delay"},
		{name: rangeSetting, value: "10240 60999", findings: leakAnd(warned, about("syn-sent-pileup", tcpvet.Critical, "10.0.0.9", here, 0))},
		{name: rangeSetting, value: "10240 60999", findings: leakAnd(several, about("port-exhaustion", tcpvet.Critical, "10.0.0.8", here, 0)), want: "only delay"},
		{name: rangeSetting, value: "32768 60999", findings: leak},
		{name: rangeSetting, value: "40000 41000", findings: leak}, // 1,001 ports, 1,000 taken
		{name: rangeSetting, value: "40000 40999", want: "1000 ports are taken toward 10.0.0.1:80"},
		{name: rangeSetting, value: "40000 41000", now: with(reservedSetting, "40500"), want: "1000 ports are taken"},
		{name: rangeSetting, value: "60999 32768", want: "the lower one first"},
		{name: rangeSetting, value: "1024", want: "expected two ports"},
		{name: rangeSetting, value: "1024 70000", want: "expected two ports"},
		{name: reservedSetting, value: "30000-61000", want: "no port is left"},
		{name: reservedSetting, value: "8080,9000-9100"},
		{name: reservedSetting, value: "33000-60999", want: "1000 ports are taken"}, // 232 are left
		{name: reservedSetting, value: "80-", want: "neither a port nor a run"},
		{name: reservedSetting, value: "", now: with(reservedSetting, "32768-40000"), findings: leak, want: "only delay"},
		{name: reservedSetting, value: "30000-61000", also: map[string]string{rangeSetting: "10000 20000"}},
		{name: "net.core.somaxconn", value: "4096"},
	} {
		now := test.now
		if now == nil {
			now = usual
		}
		s := &space{id: id, now: now, wanted: map[string]string{test.name: test.value}, findings: test.findings, census: census}
		for k, v := range test.also {
			s.wanted[k] = v
		}
		got := s.refusal(test.name, test.value)
		if (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
			t.Errorf("%s=%s with %v and %v: %q, want %q", test.name, test.value, test.also, test.findings, got, test.want)
		}
	}
}

// A wider range says which services have their port in it from then on.
func TestRangeNotes(t *testing.T) {
	listener := func(id tcpvet.NetnsID, at string) tcpvet.Listener {
		return tcpvet.Listener{Netns: id, Local: netip.MustParseAddrPort(at)}
	}
	census := &tcpvet.Census{Listeners: map[tcpvet.Listener]*tcpvet.Queue{
		listener(7, "0.0.0.0:15432"): nil, listener(7, "[::]:15432"): nil, listener(7, "127.0.0.1:80"): nil,
		listener(7, "0.0.0.0:20000"): nil, listener(7, "0.0.0.0:40000"): nil, listener(8, "0.0.0.0:15433"): nil,
	}}
	s := &space{id: 7, census: census, now: map[string]string{rangeSetting: "32768 60999", reservedSetting: "20000"}, wanted: map[string]string{rangeSetting: "10240 60999"}}
	notes := strings.Join(s.notes(rangeSetting, "10240 60999"), "\n")
	if !strings.Contains(notes, "15432") || strings.Contains(notes, "20000") || strings.Contains(notes, "40000") || strings.Contains(notes, "15433") || strings.Contains(notes, ":80 ") || strings.Count(notes, "15432") != 1 {
		t.Errorf("notes:\n%s", notes)
	}
	if strings.Contains(notes, "even") || strings.Contains(notes, leakRule) {
		t.Errorf("10240-60999 has both parities:\n%s", notes)
	}
	// A leak that does not speak against it is named all the same, with more ports alone.
	s.findings = []tcpvet.Finding{
		{Rule: leakRule, Severity: tcpvet.Warning, Title: "app[50]   to 10.0.0.1:80", Numbers: []tcpvet.Number{{Name: leakTakes, Value: 20}, {Name: leakOf, Value: 28232}}},
		{Rule: leakRule, Severity: tcpvet.Warning, Title: "server"},
	}
	if notes = strings.Join(s.notes(rangeSetting, "10240 60999"), "\n"); strings.Count(notes, leakRule) != 1 || !strings.Contains(notes, "close-wait-leak: app[50] to 10.0.0.1:80: the leak fills any range") {
		t.Errorf("notes:\n%s", notes)
	}
	fewer := *s
	fewer.wanted = map[string]string{rangeSetting: "32768 50000"}
	if notes = strings.Join(fewer.notes(rangeSetting, "32768 50000"), "\n"); strings.Contains(notes, leakRule) {
		t.Errorf("notes of fewer ports:\n%s", notes)
	}
	s.census = nil
	notes = strings.Join(s.notes(rangeSetting, "10240 61000"), "\n")
	if !strings.Contains(notes, "even") || !strings.Contains(notes, "nobody has looked") {
		t.Errorf("notes:\n%s", notes)
	}
}

// Each setting is planned once: what the user named goes before, then the worst finding.
func TestWanted(t *testing.T) {
	set := func(id tcpvet.NetnsID, name, value string) tcpvet.SetSysctl {
		return tcpvet.SetSysctl{Netns: id, Name: name, Value: value}
	}
	opt := SysctlOptions{
		Settings: []tcpvet.SetSysctl{set(0, "a", "1")},
		Findings: []tcpvet.Finding{
			{Remedies: []tcpvet.Remedy{tcpvet.Advise{}, set(5, "a", "2"), set(5, "b", "3")}},
			{Remedies: []tcpvet.Remedy{set(5, "b", "4"), set(6, "a", "5")}},
		},
	}
	var got []string
	for _, w := range opt.wanted(5) {
		got = append(got, w.Name+w.Value)
	}
	if s := strings.Join(got, " "); s != "a1 b3 a5" {
		t.Errorf("got %s", s)
	}
}

// A file that is read later at boot goes before.
func TestOverridden(t *testing.T) {
	line := func(file, value string) []tcpvet.Change {
		return []tcpvet.Change{{Target: tcpvet.Target{Setting: reuseSetting, File: file}, After: tcpvet.Value{Text: value}}}
	}
	at := func(file, name, value string) []tcpvet.Setting {
		return []tcpvet.Setting{{File: file, Line: 3, Name: name, Value: value}}
	}
	for _, test := range []struct {
		lines []tcpvet.Change
		boot  []tcpvet.Setting
		want  bool
	}{
		{line(PersistFile, "1"), at("/etc/sysctl.conf", reuseSetting, "0"), true},
		{line(PersistFile, "1"), at("/usr/lib/sysctl.d/99-x.conf", reuseSetting, "0"), true},
		{line(PersistFile, "1"), at("/etc/sysctl.d/10-x.conf", reuseSetting, "0"), false},
		{line(PersistFile, "1"), at(PersistFile, reuseSetting, "0"), false},
		{line(PersistFile, "1"), at("/etc/sysctl.conf", reuseSetting, "1"), false},
		{line(PersistFile, "1"), at("/etc/sysctl.conf", stampsSetting, "0"), false},
		{line("/elsewhere/a.conf", "1"), at("/etc/sysctl.conf", reuseSetting, "0"), false},
	} {
		if got := overridden(test.lines, test.boot); (len(got) > 0) != test.want {
			t.Errorf("%+v after %+v: %q", test.boot, test.lines, got)
		}
	}
}
