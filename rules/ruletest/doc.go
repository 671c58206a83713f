// Package ruletest judges a rule by fixtures: text such as people paste into a
// ticket, and by hand what the rule has to say of it.
//
// A fixture is a txtar archive whose comment says what the case is. It holds
//
//	now.txt        what is judged: ss, netstat or lsof, as pasted
//	before.txt     an earlier look, if there is one
//	cured.txt      the same host after the cure: the rule must be quiet
//	settings.txt   the host's settings, for all of these
//	before.settings.txt, cured.settings.txt
//	               settings that differ in that look
//	want.txt       the findings, worst first; empty for none
//
// A line "N * LINE" in the text stands for N lines; in it {A+B} is A, A+B,
// A+2B and so on, and {A+} the same with B = 1.
//
// A line of the settings is a dotted sysctl or a counter with its value, or one
// of
//
//	ports 32768-60999           the local port range
//	reserved 8080,9000-9010     the reserved ports
//	address 10.0.0.5/24         an address of the host; with "down" behind it of an interface that is down
//	patience 2s                 of the case
//	before 10s                  how long ago the earlier look was
//	path-idle 10.0.3.0/24=350s  an idle limit on the way to peers; to all without a prefix
//	groups 4, tuples 4          how many the Census keeps: more are folded
//	netns app                   the name of the namespace, which is then another than one's own
//	process 4121 exe=python3.11 args="python3 app.py" fds=27400/65536 sockets=27380 unit=api.service container=api-7f9 localhost=::1,127.0.0.1
//	                            tableless=USED/QUIET/UNASKED/ino:INODE tells its sockets in no table,
//	                            comm=NAME a process that the text need not name
//	host orphans 900            a counter of the machine as a whole
//	file /etc/sysctl.conf:3 net.ipv4.tcp_fin_timeout = 30
//	                            a line of a file of sysctl(8), in the order of reading
//	gap holders needs=root      something that could not be seen
//
// A finding in want.txt is a paragraph. Its first line holds severity, certainty
// and kind ("-" for none), its second the whole title. Each further line is a
// part of the detail, in order, or one of
//
//	number NAME VALUE           a number, to three places
//	check LINE => GOT           evidence: the shell line and its value
//	code LINE | TEXT            a remedy: its command, and a part of its text;
//	command LINE | TEXT         these three lines name its kind
//	advice LINE | TEXT
//	since AGE                   when it began, before the look
//	services N                  how many services it is about
//	never TEXT                  what nothing in the finding may say
package ruletest
