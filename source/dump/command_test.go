package dump

import "testing"

// TestTyped tells a prompt, with a command or none, from the beginning of a
// sentence.
func TestTyped(t *testing.T) {
	for _, c := range []struct {
		line     string
		kind     kind
		runs, ok bool
	}{
		{"$ ss -tan", kindSS, true, true},
		{"# ss -tan", kindSS, true, true},
		{"  $ ss -tan", kindSS, true, true},
		{"root@web1:~# /usr/sbin/ss -tan", kindSS, true, true},
		{"[root@web1 ~]# netstat -an", kindNetstat, true, true},
		{"(venv) me@web1:~/src$ sudo lsof -nP -iTCP", kindLsof, true, true},
		{"[12:00:01] root@web1:/# cat /proc/net/tcp", kindNetTCP, true, true},
		{"me@mac ~ % lsof -nP -iTCP", kindLsof, true, true},
		{"web1 ~ # ss -tan", kindSS, true, true},
		{"/ # cat /proc/net/tcp6", kindNetTCP, true, true},
		{"bash-5.1$ ss -tan", kindSS, true, true},
		{"me@web1:~/src (main) $ ss -tan", kindSS, true, true},
		{"ss -tan", kindSS, true, true},
		{"ss", kindSS, true, true},
		{"ss state close-wait", kindSS, true, true},
		{"cat /proc/net/tcp", kindNetTCP, true, true},

		{"$", kindNone, false, true},
		{"# ", kindNone, false, true},
		{"root@host:~#", kindNone, false, true},
		{"root@host:~# ", kindNone, false, true},
		{"[root@web1 ~]# ", kindNone, false, true},
		{"me@mac ~ %", kindNone, false, true},
		{"$ date", kindNone, true, true},
		{"$ cat notes", kindNone, true, true},

		{"", kindNone, false, false},
		{"about 50 % of them are mine", kindNone, false, false},
		{"50% of them", kindNone, false, false},
		{"that cost us 5 $ a day", kindNone, false, false},
		{"ss shows this", kindNone, false, false},
		{"netstat is what I had", kindNone, false, false},
		{"cat is on the keyboard", kindNone, false, false},
		{"ESTAB      0 # x", kindNone, false, false}, // a column
		{"(unclosed # x", kindNone, false, false},
	} {
		got, runs, ok := typed([]byte(c.line))
		if got.kind != c.kind || runs != c.runs || ok != c.ok {
			t.Errorf("%q: %v, command %v, prompt %v", c.line, got.kind, runs, ok)
		}
	}
}

// TestArguments reads options as getopt does: glued, with values, up to the end of
// the command.
func TestArguments(t *testing.T) {
	for line, want := range map[string]command{
		"$ ss -tan":                         {kind: kindSS, all: true, tcp: true},
		"$ ss -t -a -n -o":                  {kind: kindSS, all: true, tcp: true, timer: true},
		"$ ss --tcp --all --numeric -e":     {kind: kindSS, all: true, tcp: true, timer: true},
		"$ ss -tan 2>/dev/null":             {kind: kindSS, all: true, tcp: true},
		"$ ss -tan > ss.txt; cat ss.txt":    {kind: kindSS, all: true, tcp: true},
		"$ ss -tan; date -u":                {kind: kindSS, all: true, tcp: true},
		"$ ss -tan && ss -uan":              {kind: kindSS, all: true, tcp: true},
		"$ ss -tan | grep -o x":             {kind: kindSS, tcp: true},
		"$ ss -tan dst 10.0.0.2":            {kind: kindSS, tcp: true},
		"$ ss -tn state close-wait":         {kind: kindSS, tcp: true, state: 8},
		"$ ss -an -f inet6":                 {kind: kindSS, all: true},
		"$ ss -tan -N ua":                   {kind: kindSS, all: true, tcp: true},
		"$ ss -tuan":                        {kind: kindSS, all: true, tcp: true, others: true},
		"$ ss -anA inet":                    {kind: kindSS, all: true, tcp: true, others: true},
		"$ ss -anA udp,tcp":                 {kind: kindSS, all: true, tcp: true, others: true},
		"$ netstat -tanpeoW":                {kind: kindNetstat, all: true, tcp: true, timer: true, wide: true},
		"$ netstat --tcp --all --wide":      {kind: kindNetstat, all: true, tcp: true, wide: true},
		"$ netstat -uanx":                   {kind: kindNetstat, all: true, others: true},
		"$ netstat -an --inet --timers -e ": {kind: kindNetstat, all: true, timer: true},
	} {
		if got, _, _ := typed([]byte(line)); got != want {
			t.Errorf("%q is %+v, not %+v", line, got, want)
		}
	}
}
