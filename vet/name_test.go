package vet_test

import (
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

func TestProgram(t *testing.T) {
	for _, tt := range []struct {
		exe, args string
		language  string
		program   string
	}{
		{"python3.11", "python3 -u -W ignore /srv/app.py --port 80", "python", "app.py"},
		{"python3.11", "python3 -m http.server", "python", "http.server"},
		{"python3.11", "python3 -c import(x) y", "python", ""},
		{"python3.11", "/usr/bin/python3 /usr/bin/gunicorn app:app", "python", "gunicorn"},
		{"java", "/opt/jdk/bin/java -Xmx1g -cp a.jar:b.jar com.example.Main x", "java", "com.example.Main"},
		{"java", "java -jar /opt/shop.jar", "java", "shop.jar"},
		{"node", "node --inspect -r ./hook.js server.js", "node", "server.js"},
		{"php-fpm8.2", "", "php", ""},
		{"ruby3.1", "ruby", "ruby", ""},
		{"nginx", "nginx -g daemon", "nginx", ""},
		{"crawl", "crawl fast", "", ""},
		{"nodeexporter", "nodeexporter x", "", ""},
		{"javac", "javac Main.java", "", ""},
		{"", "", "", ""},
	} {
		i := tcpvet.ProcessInfo{Exe: tt.exe, Args: strings.Fields(tt.args)}
		if got := vet.Language(i); got != tt.language {
			t.Errorf("%s %s: language %q, want %q", tt.exe, tt.args, got, tt.language)
		}
		if got := vet.Program(i); got != tt.program {
			t.Errorf("%s %s: program %q, want %q", tt.exe, tt.args, got, tt.program)
		}
	}
	// The name that a thread gave itself serves where the file is not known.
	if got := vet.FixTopic(tcpvet.ProcessInfo{Comm: "python3"}); got != "tcpvet explain fix python" {
		t.Errorf("topic %q", got)
	}
	if got := vet.FixTopic(tcpvet.ProcessInfo{Comm: "crawl"}); got != "tcpvet explain fix" {
		t.Errorf("topic %q", got)
	}
}

func TestHeading(t *testing.T) {
	p := tcpvet.Process{PID: 4121, Start: 7}
	c := &tcpvet.Census{
		Self: 1, Facts: tcpvet.FactHolders,
		Processes: map[tcpvet.Process]tcpvet.ProcessInfo{p: {Comm: "python3", Exe: "python3.11", Args: []string{"python3", "app.py"}}},
		Netns:     map[tcpvet.NetnsID]tcpvet.Netns{2: {ID: 2, Names: []string{"blue"}}},
	}
	box := &tcpvet.Container{ID: strings.Repeat("ab", 32), Name: "api-7f9"}
	got := vet.Heading(c, 1, box, vet.ProgramText(c, p), "to 10.0.3.7:8080")
	if want := "python3[4121] app.py   container api-7f9   to 10.0.3.7:8080"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := vet.Heading(c, 2, nil, "", "x"), "netns blue   x"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := vet.Heading(c, 3, &tcpvet.Container{ID: box.ID}, "", "x"), "container abababababab   netns 3   x"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestProcessText(t *testing.T) {
	evil := tcpvet.Process{PID: 9}
	c := &tcpvet.Census{
		Facts:     tcpvet.FactHolders,
		Processes: map[tcpvet.Process]tcpvet.ProcessInfo{evil: {Comm: "\x1b[31mroot\n"}},
	}
	if got, want := vet.ProcessText(c, evil), "?[31mroot?[9]"; got != want {
		t.Errorf("a process that names itself with control codes is %q, want %q", got, want)
	}
	if got := vet.ProcessText(c, tcpvet.Process{PID: 10}); got != "?[10]" {
		t.Errorf("an unknown command is %q", got)
	}
	// Without inodes nobody looks like a process that could not be seen.
	if got := vet.ProcessText(c, tcpvet.Unseen); !strings.HasPrefix(got, "nobody, or ") {
		t.Errorf("what may be nobody is %q", got)
	}
	if got := vet.OwnerText(c, tcpvet.Unseen); strings.Contains(got, "nobody") {
		t.Errorf("the owner of what has a descriptor is %q", got)
	}
	c.Facts |= tcpvet.FactInode
	seen := vet.ProcessText(c, tcpvet.Unseen)
	if strings.Contains(seen, "nobody") || vet.MaybeNobody(c, tcpvet.Unseen) || vet.OwnerText(c, tcpvet.Unseen) != seen {
		t.Errorf("with its inode known, an unseen process is %q", seen)
	}
	c.Facts = 0
	if silent := vet.ProcessText(c, tcpvet.Unseen); silent == seen {
		t.Errorf("a process that could not be seen and one that the input does not name are both %q", seen)
	}
}
