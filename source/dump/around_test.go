package dump

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

const (
	ssLine    = "ESTAB 0 0 10.0.0.1:40000 10.0.0.2:80\n"
	ssSame    = "ESTAB 10.0.0.1:40000 10.0.0.2:80 0 0"
	ncHead    = "Active Internet connections (servers and established)\nProto Recv-Q Send-Q Local Address Foreign Address State\n"
	ncLine    = "tcp 0 0 10.0.0.1:40000 10.0.0.2:80 ESTABLISHED\n"
	lsofTable = "COMMAND PID USER FD TYPE DEVICE SIZE/OFF NODE NAME\na 5 root 3u IPv4 7 0t0 TCP 10.0.0.1:40000->10.0.0.2:80 (ESTABLISHED)\n"
	tcpHead   = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	tcp6Head  = "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	tcpRow    = "0: 0100007F:1F90 0200007F:CD1E 08 00000000:00000001 00:00000000 00000000 0 0 77\n"
	tcp6Row   = "0: 00000000000000000000000001000000:1F90 00000000000000000000000001000000:CD1E 08 00000000:00000001 00:00000000 00000000 0 0 78\n"
)

// TestAround reads dumps with something before and behind them that is no part of
// them, strictly.
func TestAround(t *testing.T) {
	for _, table := range []struct{ name, text, want string }{
		{"ss", ssHead + ssLine, ssSame},
		{"ss -i", ssHead + ssLine + "\t cwnd:10\n", ssSame},
		{"ss -H", ssLine, ssSame},
		{"netstat", ncHead + ncLine, ssSame},
		{"lsof", lsofTable, ssSame + " by 5"},
		{"/proc/net/tcp", tcpHead + tcpRow, "CLOSE-WAIT 127.0.0.1:8080 127.0.0.2:52510 1 0"},
	} {
		for _, around := range []struct{ before, behind string }{
			{"", ""},
			{"\n\n", "\n \n"},
			{"", "$ "},
			{"", "\n# \n"},
			{"", "\nroot@host:~# \n"},
			{"", "[root@host ~]# exit\n"},
			{"", "(venv) me@host:~/src$\n"},
			{"", "me@mac ~ % \n"},
			{"", "/ # \n"},
			{"", "me@host:~$ date\nTue Nov 24 16:56:38 UTC 2026\nme@host:~$ uptime\n 16:56 up 3 days\nme@host:~$ \n"},
			{"", "\n$ ss -s\nTotal: 37\nTCP:   15 (estab 8, closed 3, orphaned 0, timewait 2)\n"},
			{"```\n", "```\n"},
			{"```console\n$ some command\n", "```\n\n"},
			{"  ```text\n", "  ```\n"},
			{"", "^C\n"},
			{"$ watch ss -tan\n^C\n", "^C\nme@host:~$ date\nTue\n"},
			{"", "^Cme@host:~$ \n"},
			{"~~~\n", "~~~\n"},
			{"{noformat}\n", "{noformat}\n"},
			{"{code:bash}\n", "{code}\n"},
			{"<pre>\n", "</pre>\n"},
			{"```\n", "```\n```\nroot@host:~# \n```\n"},
		} {
			for _, quote := range []string{"", "> ", ">", ">> ", "> > > "} {
				text := around.before + table.text + around.behind
				if quote != "" {
					text = quote + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n"+quote) + "\n"
				}
				d, err := Parse(strings.NewReader(text), Options{})
				if err != nil {
					t.Errorf("%s: %v, for\n%s", table.name, err, text)
					continue
				}
				if got := briefs(collect(t, d)); !slices.Equal(got, []string{table.want}) {
					t.Errorf("%s: read %q, for\n%s", table.name, got, text)
				}
			}
		}
	}
}

// TestPlain reads what a terminal, a web page and an editor have made of a dump as
// what it was.
func TestPlain(t *testing.T) {
	const bell = "\x1b[01;31m\x1b[K"
	for _, table := range []struct{ text, want string }{
		{ssHead + ssLine, ssSame},
		{ncHead + ncLine, ssSame},
		{lsofTable, ssSame + " by 5"},
		{tcpHead + tcpRow, "CLOSE-WAIT 127.0.0.1:8080 127.0.0.2:52510 1 0"},
	} {
		for name, made := range map[string]string{
			"CRLF":         strings.ReplaceAll(table.text, "\n", "\r\n"),
			"CR CR LF":     strings.ReplaceAll(table.text, "\n", "\r\r\n"),
			"NBSP":         strings.ReplaceAll(table.text, " ", "\u00a0"),
			"ss --color":   strings.ReplaceAll(strings.ReplaceAll(table.text, "ESTAB", "\x1b[01;36mESTAB"), "\n", "\x1b[0m\n"),
			"grep --color": strings.ReplaceAll(table.text, "80", bell+"80\x1b[m\x1b[K"),
			"truecolor":    strings.ReplaceAll(table.text, "0 ", "\x1b[38:2::1:2:3m0\x1b[39;49m "),
			"both":         strings.ReplaceAll(strings.ReplaceAll(table.text, "0", bell+"0\x1b[m"), " ", "\u00a0\x1b[K"),
		} {
			if _, c := read(t, made); !slices.Equal(briefs(c), []string{table.want}) {
				t.Errorf("%s: read %q, for\n%q", name, briefs(c), made)
			}
		}
	}
	for _, moved := range []string{"\x1b[1;5H", "\x1b[1;5H\x1b[m", "\x1b[2J", "\x1b", "\x1b[", "\x1b[3", "\x1bm"} {
		_, err := Parse(strings.NewReader(ssHead+strings.Replace(ssLine, ":80", ":8"+moved+"0", 1)), Options{})
		var e *LineError
		if !errors.As(err, &e) || e.Line != 2 {
			t.Errorf("%q: %v, not an error of line 2", moved, err)
		}
	}
}

// TestUTF16 says what a text in UTF-16 needs, strictly and not.
func TestUTF16(t *testing.T) {
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		var text []byte
		for _, u := range utf16.Encode([]rune("\ufeff" + ssHead + ssLine)) {
			text = order.AppendUint16(text, u)
		}
		for _, lenient := range []bool{false, true} {
			_, err := Parse(bytes.NewReader(text), Options{Lenient: lenient})
			if err == nil || !strings.Contains(err.Error(), "UTF-16; save it as UTF-8") {
				t.Errorf("%v, lenient %v: %v", order, lenient, err)
			}
		}
	}
}

// TestProse names the line of what is no part of a dump and not explained either:
// it takes Lenient, which leaves it out and counts it.
func TestProse(t *testing.T) {
	for _, c := range []struct {
		text string
		line int
		says string
		out  int // lines left out
	}{
		{ssHead + ssLine + "That is all I see.\nRegards\n", 3, "no line of this dump; leave it out", 2},
		{ssHead + ssLine + "\nThat is all.\n", 4, "no line of this dump", 1},
		{ssHead + ssLine + "about 50 % of them\n", 3, "no line of this dump", 1},
		{ssHead + ssLine + "ss shows that\n", 3, "no line of this dump", 1},
		{ssHead + "and then\n" + ssLine, 2, "no line of this dump", 1},
		{"```\n" + ssHead + ssLine + "```\nWhat is that?\n", 5, "no line of this dump", 1},
		{ssHead + ssLine + "$ \nWhat is that?\n", 4, "no line of this dump", 1},
		{ssHead + ssLine + "$ date\nTue\n```\nWhat is that?\n", 6, "no line of this dump", 1},
		{ncHead + ncLine + "  indented\n", 4, "no line of this dump", 1},

		{"> " + ssHead + "> " + ssLine + "That is a leak.\n", 3, "not quoted", 1},
		{">> " + ssHead + ">> " + ssLine + ">\n> Is that a leak?\n\nYes.\n", 4, "not quoted", 2},
		{"> " + ssHead + "and\n> " + ssLine, 2, "not quoted", 1},
		{"> " + ssHead + "> " + ssLine + "> Is that a leak?\n", 3, "no line of this dump", 1},
		{"Hello,\n> " + ssLine, 1, "no header", 1}, // may have been a socket

		// More sockets behind the end would be counted twice, or be of another
		// command.
		{ssHead + ssLine + "$ ss -tanH\n" + ssLine, 4, "a second dump begins here, of ss", 1},
		{"$ ss -tnH state close-wait\n0 0 10.0.0.1:40000 10.0.0.2:80\n$ ss -tnH state time-wait\n0 0 10.0.0.1:1 10.0.0.2:80\n", 4, "a second dump begins here, of ss", 1},
		{"```\n" + ssLine + "```\n```\n" + ssLine + "```\n", 5, "a second dump begins here, of ss", 2},
		{ssHead + ssLine + "$ netstat -tan\n" + ncHead + ncLine, 4, "a second dump begins here, of netstat", 3},
		{tcpHead + tcpRow + "$ cat /proc/net/tcp\n" + tcpHead + tcpRow, 4, "a second dump begins here, of /proc/net/tcp", 2},
	} {
		_, err := Parse(strings.NewReader(c.text), Options{})
		var e *LineError
		if !errors.As(err, &e) || e.Line != c.line || !strings.Contains(e.Error(), c.says) {
			t.Errorf("%v, not line %d and %q, for\n%s", err, c.line, c.says, c.text)
			continue
		}
		d, err := Parse(strings.NewReader(c.text), Options{Lenient: true})
		if err != nil {
			t.Errorf("leniently %v, for\n%s", err, c.text)
			continue
		}
		got := collect(t, d)
		if n := len(got.gaps); len(got.sockets) != 1 || n == 0 || got.gaps[n-1].Count != c.out || !strings.Contains(got.gaps[n-1].Err, c.says) {
			t.Errorf("leniently %q with gaps %+v, not %d lines left out, for\n%s", briefs(got), got.gaps, c.out, c.text)
		}
	}
}

// TestTwoFiles reads tcp and tcp6 below prompts of their own, in fences of their
// own, and through grep, which leaves out the headers.
func TestTwoFiles(t *testing.T) {
	for _, text := range []string{
		tcpHead + tcpRow + tcp6Head + tcp6Row,
		"$ cat /proc/net/tcp\n" + tcpHead + tcpRow + "$ cat /proc/net/tcp6\n" + tcp6Head + tcp6Row + "$ \n",
		"$ cat /proc/net/tcp6\n" + tcp6Head + tcp6Row + "$ cat /proc/net/tcp\n" + tcpHead + tcpRow,
		"```\n" + tcpHead + tcpRow + "```\n```\n" + tcp6Head + tcp6Row + "```\n",
		"$ grep 1F90 /proc/net/tcp\n" + tcpRow + "$ grep 1F90 /proc/net/tcp6\n" + tcp6Row,
	} {
		if _, c := read(t, text); len(c.sockets) != 2 || len(c.gaps) != 0 {
			t.Errorf("%q with gaps %v, for\n%s", briefs(c), c.gaps, text)
		}
	}
}
