package dump

import (
	"bytes"

	"github.com/tcpvet/tcpvet"
)

// command is what was typed to get a dump.
type command struct {
	kind   kind
	all    bool // -a: every state is asked for, and nothing filters
	state  tcpvet.State
	wide   bool // netstat -W
	timer  bool // -o, and -e of ss
	tcp    bool // TCP is asked for by name
	others bool // another protocol is
}

// tcpOnly tells that the command shows sockets of TCP alone, notTCP that it shows
// others alone. Where it names no protocol neither is true.
func (c *command) tcpOnly() bool { return c.tcp && !c.others }
func (c *command) notTCP() bool  { return c.others && !c.tcp }

// typed finds a command of a known kind in a line such as
// "root@web1:~# ss -tan", or in one that begins with it. ok is true also for a
// prompt with another command or none, and for ^C; runs tells that there is one.
func typed(b []byte) (c command, runs, ok bool) {
	// What ended the command stands where it was typed, before the next prompt.
	b, stopped := bytes.CutPrefix(trim(b), []byte("^C"))
	rest, ok := behindPrompt(b)
	ok = ok || stopped && len(trim(b)) == 0
	w := words{rest: rest}
	for range 16 {
		word := w.next()
		if len(word) == 0 {
			return c, runs, ok
		}
		runs = true
		switch string(word[lastByte(word, '/')+1:]) {
		case "ss":
			c.kind = kindSS
		case "netstat":
			c.kind = kindNetstat
		case "lsof":
			c.kind = kindLsof
		case "cat":
			if !bytes.Contains(w.rest, []byte("net/tcp")) {
				return c, ok, ok
			}
			c.kind = kindNetTCP
		default:
			if !ok {
				return c, false, false // without a prompt the line begins with the command
			}
			continue
		}
		if ahead := w; !ok && !argument(ahead.next()) {
			return command{}, false, false // "ss shows this"
		}
		c.arguments(w)
		return c, true, true
	}
	return c, runs, ok
}

// behindPrompt gives what stands behind a shell's prompt; ok is false where the
// line does not begin with one.
func behindPrompt(b []byte) (rest []byte, ok bool) {
	const longest = 120
	line := trim(b)
	for i, c := range line[:min(len(line), longest)] {
		if i > 0 && c == ' ' && line[i-1] == ' ' {
			break // a column
		}
		if (c == '$' || c == '#' || c == '%') && (i == len(line)-1 || line[i+1] == ' ') && prompt(line[:i]) {
			return line[i+1:], true
		}
	}
	return b, false
}

// prompt tells what shells print before their $, # or % ("root@web1:~", "[me@web1
// ~]", "me@mac ~ ", "(venv) me@web1:/src", "/ ") from the beginning of a
// sentence ("about 50 ").
func prompt(b []byte) bool {
	for len(b) > 0 && (b[0] == '(' || b[0] == '[') {
		shut := bytes.IndexAny(b, ")]")
		if shut < 0 {
			return false
		}
		b = trim(b[shut+1:])
	}
	w := words{rest: b}
	first, second := w.next(), w.next()
	switch {
	case len(first) == 0:
		return true
	case len(first) == len(b):
		return !digits(first)
	}
	return first[0] == '~' || first[0] == '/' || bytes.IndexByte(first, '@') > 0 ||
		len(second) > 0 && (second[0] == '~' || second[0] == '/')
}

// argument tells whether a word can stand behind a command.
func argument(b []byte) bool {
	switch string(b) {
	case "", "state", "exclude", "src", "dst", "sport", "dport":
		return true
	}
	return b[0] == '-' || b[0] == '/' || b[0] == '|'
}

// arguments reads what stands behind the command, up to where the shell begins
// something else.
func (c *command) arguments(w words) {
	plain := true
	for word := w.next(); len(word) > 0; word = w.next() {
		last := word[len(word)-1] == ';'
		if last {
			word = word[:len(word)-1]
		}
		switch {
		case len(word) == 0 || word[0] == '&' || word[0] == '>':
			last = true
		case word[0] == '|':
			plain, last = false, true
		case bytes.HasPrefix(word, []byte("2>")):
		case len(word) > 1 && word[0] == '-' && word[1] != '-':
			c.letters(word[1:], &w)
		case word[0] == '-':
			c.long(word, &w)
		case string(word) == "state":
			plain = false
			if s, err := tcpvet.ParseState(string(w.next())); err == nil && c.state == 0 {
				c.state = s
			}
		default:
			plain = false
		}
		if last {
			break
		}
	}
	c.all = c.all && plain
}

// letters reads options such as -tanp, and -A with its value.
func (c *command) letters(b []byte, w *words) {
	for i, letter := range b {
		switch {
		case letter == 'A' && c.kind != kindLsof:
			c.protocols(value(b[i+1:], w))
			return
		case c.kind == kindSS && bytes.IndexByte([]byte("fFDN"), letter) >= 0: // -f FAMILY, ...
			value(b[i+1:], w)
			return
		case letter == 'a':
			c.all = true
		case letter == 'W':
			c.wide = true
		case letter == 'o':
			c.timer = true
		case letter == 't':
			c.tcp = true
		case c.kind == kindSS && letter == 'e':
			c.timer = true
		case c.kind == kindSS && bytes.IndexByte([]byte("udwxSM0"), letter) >= 0,
			c.kind == kindNetstat && bytes.IndexByte([]byte("uUwxS"), letter) >= 0:
			c.others = true
		}
	}
}

// value gives the value of an option of one letter: what is glued to it, or the
// next word.
func value(glued []byte, w *words) []byte {
	if len(glued) > 0 {
		return glued
	}
	return w.next()
}

// long reads an option such as --tcp or --query=tcp.
func (c *command) long(word []byte, w *words) {
	name, list, set := bytes.Cut(word, []byte{'='})
	switch string(name) {
	case "--all":
		c.all = true
	case "--wide":
		c.wide = true
	case "--timers", "--options":
		c.timer = true
	case "--extended":
		c.timer = c.timer || c.kind == kindSS
	case "--tcp":
		c.tcp = true
	case "--udp", "--udplite", "--raw", "--unix", "--dccp", "--sctp", "--mptcp", "--packet", "--vsock", "--tipc", "--xdp":
		c.others = true
	case "--query", "--socket":
		if !set {
			list = w.next()
		}
		c.protocols(list)
	}
}

// protocols reads a list such as tcp,udp. Some of its words stand for several.
func (c *command) protocols(list []byte) {
	for len(list) > 0 {
		var one []byte
		one, list, _ = bytes.Cut(list, []byte{','})
		switch string(one) {
		case "tcp":
			c.tcp = true
		case "inet", "inet6", "all":
			c.tcp, c.others = true, true
		default:
			c.others = true
		}
	}
}
