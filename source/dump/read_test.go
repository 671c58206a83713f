package dump

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet"
)

// brief gives a socket in one line: what a dump tells of it beyond its own
// dialect's tests.
func brief(s *tcpvet.Socket) string {
	out := fmt.Sprintf("%v %v %v %d %d", s.State, s.Local, s.Remote, s.RecvQ, s.SendQ)
	if s.Holder.Known() {
		out += fmt.Sprintf(" by %d", s.Holder.PID)
		for _, p := range s.SharedWith {
			out += fmt.Sprintf("+%d", p.PID)
		}
	}
	return out
}

func briefs(c *collector) []string {
	var out []string
	for i := range c.sockets {
		out = append(out, brief(&c.sockets[i]))
	}
	return out
}

const ssHead = "State Recv-Q Send-Q Local Address:Port Peer Address:Port Process\n"

// TestRead reads texts that are odd and whole. The expected values stand in the
// texts themselves.
func TestRead(t *testing.T) {
	for _, c := range []struct {
		name, text, kind string
		want             []string
	}{
		{"listeners first", ssHead +
			"ESTAB 0 0 10.0.0.1:40000 10.0.0.2:80\nLISTEN 2 128 0.0.0.0:80 0.0.0.0:*\nTIME-WAIT 0 0 10.0.0.1:40002 10.0.0.2:80\n", "ss",
			[]string{"LISTEN 0.0.0.0:80 0.0.0.0:0 2 128", "ESTAB 10.0.0.1:40000 10.0.0.2:80 0 0", "TIME-WAIT 10.0.0.1:40002 10.0.0.2:80 0 0"}},
		{"words around it", "\xef\xbb\xbfHello, this is what I see on web1:\r\n\r\n```\r\n$ sudo ss -tan\r\n" + ssHead +
			"ESTAB 0 0 10.0.0.1:40000 10.0.0.2:80\r\n```\r\n[root@web1 ~]# \r\n", "ss",
			[]string{"ESTAB 10.0.0.1:40000 10.0.0.2:80 0 0"}},
		{"no newline", "ESTAB 0 0 10.0.0.1:40000 10.0.0.2:80", "ss", []string{"ESTAB 10.0.0.1:40000 10.0.0.2:80 0 0"}},
		{"indented as code", "    ESTAB 0 0 10.0.0.1:40000 10.0.0.2:80\n    SYN-SENT 0 1 10.0.0.1:40001 10.0.0.2:80\n", "ss",
			[]string{"ESTAB 10.0.0.1:40000 10.0.0.2:80 0 0", "SYN-SENT 10.0.0.1:40001 10.0.0.2:80 0 1"}},
		{"zones", ssHead + "LISTEN 0 1 [fe80::1]%eth0:22 [::]:*\nLISTEN 0 1 [fe80::2%eth0]:22 [::]:*\nLISTEN 0 1 127.0.0.53%lo:53 0.0.0.0:*\nLISTEN 0 1 *%lo:54 *:*\n", "ss",
			[]string{"LISTEN [fe80::1]:22 [::]:0 0 1", "LISTEN [fe80::2]:22 [::]:0 0 1", "LISTEN 127.0.0.53:53 0.0.0.0:0 0 1", "LISTEN [::]:54 [::]:0 0 1"}},
		{"ss before 4.14", "State       Recv-Q Send-Q Local Address:Port               Peer Address:Port              \n" +
			"LISTEN      0      128          *:22                       *:*                   users:((\"sshd\",1042,3))\n" +
			"LISTEN      0      128         :::22                      :::*                   users:((\"sshd\",1042,4))\n" +
			"ESTAB       0      0      ::ffff:10.0.0.1:22   ::ffff:10.0.0.2:50000\n", "ss",
			[]string{"LISTEN 0.0.0.0:22 0.0.0.0:0 0 128 by 1042", "LISTEN [::]:22 [::]:0 0 128 by 1042", "ESTAB [::ffff:10.0.0.1]:22 [::ffff:10.0.0.2]:50000 0 0"}},
		{"ss before 4.14, IPv4 alone", "LISTEN 0 128 *:22 *:*\nLISTEN 0 100 127.0.0.1:25 *:*\n", "ss",
			[]string{"LISTEN 0.0.0.0:22 0.0.0.0:0 0 128", "LISTEN 127.0.0.1:25 0.0.0.0:0 0 100"}},
		{"glued header", "State Recv-Q Send-Q Local Address:Port Peer Address:PortProcess\nESTAB 0 0 10.0.0.1:40000 10.0.0.2:80\n", "ss",
			[]string{"ESTAB 10.0.0.1:40000 10.0.0.2:80 0 0"}},
		{"names of processes", ssHead + `ESTAB 0 0 10.0.0.1:1 10.0.0.2:80 users:(("a b",pid=7,fd=3),("x",pid=5,fd=3),("x",pid=5,fd=4)) ino:1 sk:2` + "\n" +
			`ESTAB 0 0 10.0.0.1:2 10.0.0.2:80 users:(("q\",",pid=9,fd=3))` + "\n" +
			`ESTAB 0 0 10.0.0.1:3 10.0.0.2:80 users:(("(sd-pam",pid=11,proc_ctx=unconfined,fd=3))` + "\n", "ss",
			[]string{"ESTAB 10.0.0.1:1 10.0.0.2:80 0 0 by 5+7", "ESTAB 10.0.0.1:2 10.0.0.2:80 0 0 by 9", "ESTAB 10.0.0.1:3 10.0.0.2:80 0 0 by 11"}},
		{"all families", "Netid State Recv-Q Send-Q Local Address:Port Peer Address:Port\n" +
			"nl UNCONN 0 0 0:0 *\nu_str ESTAB 0 0 * 1234 * 1235\nudp UNCONN 0 0 127.0.0.1:323 0.0.0.0:*\n\t extra of it\ntcp LISTEN 0 5 0.0.0.0:80 0.0.0.0:*\n", "ss",
			[]string{"LISTEN 0.0.0.0:80 0.0.0.0:0 0 5"}},
		{"one state, named above", "$ ss -tnH state time-wait dst 10.0.0.2\n0 0 10.0.0.1:40000 10.0.0.2:80\n", "ss",
			[]string{"TIME-WAIT 10.0.0.1:40000 10.0.0.2:80 0 0"}},
		{"one state of all families", "$ ss -an state close-wait\nNetid Recv-Q Send-Q Local Address:Port Peer Address:Port\n" +
			"u_str 0 0 * 1 * 2\ntcp 1 0 10.0.0.1:40000 10.0.0.2:80\n", "ss", []string{"CLOSE-WAIT 10.0.0.1:40000 10.0.0.2:80 1 0"}},
		{"merely bound", ssHead + "UNCONN 0 0 127.0.0.1:40000 0.0.0.0:*\nLISTEN 0 5 0.0.0.0:80 0.0.0.0:*\n", "ss",
			[]string{"LISTEN 0.0.0.0:80 0.0.0.0:0 0 5", "BOUND-INACTIVE 127.0.0.1:40000 0.0.0.0:0 0 0"}},
		{"said beside it", "Failed to find cgroup2 mount\n" + ssHead + "Failed to find cgroup2 mount\nESTAB 0 0 10.0.0.1:40000 10.0.0.2:80\nRTNETLINK answers: Invalid argument\n", "ss",
			[]string{"ESTAB 10.0.0.1:40000 10.0.0.2:80 0 0"}},
		{"nothing open", ssHead, "ss", nil},

		{"netstat through grep", "tcp        1      0 10.0.0.1:40000          10.0.0.2:80             CLOSE_WAIT  4121/python3 app.p off (0.00/0/0)\n", "netstat",
			[]string{"CLOSE-WAIT 10.0.0.1:40000 10.0.0.2:80 1 0 by 4121"}},
		{"netstat with users through grep", "tcp 1 0 10.0.0.1:40000 10.0.0.2:80 CLOSE_WAIT 1000 5512 4121/app 7\n", "netstat",
			[]string{"CLOSE-WAIT 10.0.0.1:40000 10.0.0.2:80 1 0 by 4121"}},
		{"netstat of BusyBox", "Active Internet connections (servers and established)\n" +
			"Proto Recv-Q Send-Q Local Address           Foreign Address         State       PID/Program name    \n" +
			"tcp        0      0 :::8080                 :::*                    LISTEN      1/java\n" +
			"tcp        0      0 ::ffff:10.0.0.1:8080    ::ffff:10.0.0.2:50000   ESTABLISHED 1/java\n", "netstat",
			[]string{"LISTEN [::]:8080 [::]:0 0 0 by 1", "ESTAB [::ffff:10.0.0.1]:8080 [::ffff:10.0.0.2]:50000 0 0 by 1"}},
		{"netstat, not root", "(Not all processes could be identified, non-owned process info\n will not be shown, you would have to be root to see it all.)\n" +
			"Active Internet connections (w/o servers)\nProto Recv-Q Send-Q Local Address Foreign Address State PID/Program name\n" +
			"tcp 0 0 10.0.0.1:40000 10.0.0.2:80 ESTABLISHED -\ntcp6 0 0 10.0.0.1:40001 10.0.0.2:80 ESTABLISHED 5/nginx: worker p\n", "netstat",
			[]string{"ESTAB 10.0.0.1:40000 10.0.0.2:80 0 0", "ESTAB [::ffff:10.0.0.1]:40001 [::ffff:10.0.0.2]:80 0 0 by 5"}},
		{"netstat -W", "tcp6 0 0 2001:db8:1:2::abc:52272 2001:db8:1:2::abcd:8081 ESTABLISHED\n" +
			"tcp6 0 0 2001:db8:1234:5678:9abc:def0:1234:5678:1 2001:db8:1:2::abcd:8081 ESTABLISHED\n", "netstat",
			[]string{"ESTAB [2001:db8:1:2::abc]:52272 [2001:db8:1:2::abcd]:8081 0 0", "ESTAB [2001:db8:1234:5678:9abc:def0:1234:5678]:1 [2001:db8:1:2::abcd]:8081 0 0"}},
		{"netstat -W, said above", "$ netstat -tanW\ntcp6 0 0 2001:db8:1:2::abc:52272 2001:db8:1:2::abcd:8081 ESTABLISHED\n", "netstat",
			[]string{"ESTAB [2001:db8:1:2::abc]:52272 [2001:db8:1:2::abcd]:8081 0 0"}},

		{"lsof of threads", "COMMAND     PID   TID TASKCMD               USER   FD      TYPE DEVICE SIZE/OFF       NODE NAME\n" +
			`my\x20app  4121  4130 worker                app    3u     IPv4  77    0t0        TCP 10.0.0.1:40000->10.0.0.2:80 (CLOSE_WAIT)` + "\n", "lsof",
			[]string{"CLOSE-WAIT 10.0.0.1:40000 10.0.0.2:80 0 0 by 4121"}},
		{"lsof without -i", "COMMAND PID USER FD TYPE DEVICE SIZE/OFF NODE NAME\n" +
			"app 7 root cwd DIR 8,1 4096 2 /\napp 7 root 5u sock 0,8 0t0 78 protocol: TCP\napp 7 root 6u unix 0x00 0t0 79 type=STREAM\napp 7 root 7u IPv6 80 0t0 TCP *:80 (LISTEN)\n", "lsof",
			[]string{"LISTEN [::]:80 [::]:0 0 0 by 7"}},
		{"lsof, shared", "a 9 root 3u IPv4 77 0t0 TCP 10.0.0.1:1->10.0.0.2:80 (ESTABLISHED)\nb 4 root 3u IPv4 77 0t0 TCP 10.0.0.1:1->10.0.0.2:80 (ESTABLISHED)\n" +
			"b 4 root 4u IPv4 77 0t0 TCP 10.0.0.1:1->10.0.0.2:80 (ESTABLISHED)\n", "lsof",
			[]string{"ESTAB 10.0.0.1:1 10.0.0.2:80 0 0 by 4+9"}},
		{"lsof of macOS", "COMMAND PID USER FD TYPE DEVICE SIZE/OFF NODE NAME\n" +
			"node 9 me 3u IPv4 0x8ab1c1b0d7e6f5a3 0t0 TCP 10.0.0.1:1->10.0.0.2:80 (ESTABLISHED)\nnode 9 me 4u IPv6 0x8ab1c1b0d7e6f5a4 0t0 TCP *:3000 (LISTEN)\n" +
			"node 9 me 5u IPv4 0x8ab1c1b0d7e6f5a5 0t0 TCP *:3001 (LISTEN)\n", "lsof",
			[]string{"LISTEN [::]:3000 [::]:0 0 0 by 9", "LISTEN 0.0.0.0:3001 0.0.0.0:0 0 0 by 9", "ESTAB 10.0.0.1:1 10.0.0.2:80 0 0 by 9"}},

		{"/proc/net/tcp squeezed", "sl local_address rem_address st tx_queue rx_queue tr tm->when retrnsmt uid timeout inode\n" +
			"0: 0100007F:1F90 0200007F:CD1E 08 00000000:00000001 00:00000000 00000000 0 0 77\n", "/proc/net/tcp",
			[]string{"CLOSE-WAIT 127.0.0.1:8080 127.0.0.2:52510 1 0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, got := read(t, c.text)
			if d.Name() != c.kind {
				t.Errorf("it is taken for %s, not %s", d.Name(), c.kind)
			}
			if !slices.Equal(briefs(got), c.want) {
				t.Errorf("read\n%s\nnot\n%s", strings.Join(briefs(got), "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}
