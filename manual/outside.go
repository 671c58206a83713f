package manual

import "github.com/tcpvet/tcpvet"

func outsideTopic() Topic {
	return Topic{
		Name:    "outside",
		Aliases: []string{"from outside", "SOCK_DESTROY", "destroy", "shutdown from outside", "sockops", "journal"},
		Section: Basics,
		Title:   "what can be changed from outside of a program, and what that does to it",
		Body: []Block{
			Para("A leak is cured in the code (`tcpvet explain fix`). What must not be restarted, or cannot be changed, can be helped from outside. `tcpvet fix` shows what it would do, and does it with `--apply` alone; what was there is written down first. `tcpvet run` is for what a program opens from now on."),
			Heading("what each does"),
			Table{
				Head: []string{"", "frees", "does not"},
				Rows: [][]string{
					{"`tcpvet fix close`", "the port, at once", "close the descriptor; cure the leak; it cannot be undone"},
					{"`tcpvet fix keepalive`", "the port: idle + count x interval after a peer that is gone was last heard of; of a CLOSE-WAIT soon after the peer's kernel has forgotten it (tcp_fin_timeout, 60 s)", "end what a living peer answers, as a half-closed one does for ever; close the descriptor"},
					{"`tcpvet fix sysctl`", "ports in TIME-WAIT (reuse), more ports", "help against CLOSE-WAIT"},
					{"`tcpvet run`", "what keepalive frees, of new sockets; with `--source-pool` more ports toward one destination", "touch sockets that are open; override what the program sets itself later, as Go does"},
				},
			},
			Heading("what a program sees when its socket is closed"),
			Terms{
				{Word: "CLOSE-WAIT, shut down in order", Text: "It reads what is queued and then the end, as before. A write fails with EPIPE, and SIGPIPE ends a program that does not handle it: such ones are not shut down but destroyed. The peer gets the FIN that it waits for."},
				{Word: "CLOSE-WAIT, destroyed", Text: "It still reads the end. The first write fails with ECONNABORTED, and the peer gets an RST."},
				{Word: "ESTAB, destroyed", Text: "The next call fails with ECONNABORTED, data on its way is lost in both directions, and the peer gets an RST. It has to be named, and its risk accepted."},
				{Word: "TIME-WAIT, destroyed", Text: "No program holds it. A late segment of the old connection can get into the next one between the same ports, which is what TIME-WAIT is for."},
			},
			Para("The kernel finds a socket by its cookie, a number that no other one ever gets. So a connection that has taken the place of the one that was listed is not touched, even between the same addresses and ports."),
			Heading("what keepalive can break"),
			List{
				"An outage that lasts longer than the probes do, 12 s by default (5 of them, 3 s apart), ends connections that would have outlived it.",
				"Probes that come all at once are dropped on their way to a peer on this host: a queue takes 1,000 (net.core.netdev_max_backlog). A connection that loses all of its probes ends, with nothing wrong with it. So `tcpvet fix keepalive` gives more than 500 sockets idle times that lie apart, from a half of what was asked for to all of it.",
			},
			Heading("which way keepalive is set"),
			Terms{
				{Word: "BPF iterator", Text: "All sockets of a namespace in one pass, also those whose process cannot be reached. Needs CAP_BPF and CAP_PERFMON."},
				{Word: "pidfd_getfd(2)", Text: "The descriptor is borrowed from its process for a moment. Needs CAP_SYS_PTRACE."},
				{Word: "a program of the cgroup", Text: "What `tcpvet run` does: each new socket has its values before the program can use it. Needs cgroup 2, CAP_BPF and CAP_NET_ADMIN."},
			},
			Heading("do it"),
			Commands{
				{Run: "tcpvet fix close --pid PID --state close-wait --older-than 5m", Shows: "which sockets would be closed, and what that does", Root: true},
				{Run: "tcpvet fix keepalive --pid PID", Shows: "what they have now, and what they would get", Root: true},
				{Run: "tcpvet fix log", Shows: "what was changed, when and by whom", Root: true},
				{Run: "tcpvet fix undo", Shows: "what would be put back", Root: true},
			},
			Values{count(tcpvet.CloseWait), count(tcpvet.TimeWait)},
		},
		See:  []string{"fix", "keepalive", "CLOSE-WAIT", "TIME-WAIT"},
		Refs: []string{"sock_diag(7), SOCK_DESTROY", "tcp(7)", "pidfd_getfd(2)", "bpf-helpers(7), bpf_setsockopt", "RFC 9293, section 3.6.1"},
	}
}
