package netns

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

func TestRootInitial(t *testing.T) {
	kerneltest.Netns(t)
	if yes, err := Initial(); yes || err != nil {
		t.Errorf("in a new namespace: %v, %v", yes, err)
	}
}

// Where process 1 is the host's own and may be read, it says the same.
func TestInitialAgreesWithProcessOne(t *testing.T) {
	yes, err := Initial()
	if err != nil {
		t.Fatal(err)
	}
	self, err := Self()
	if err != nil {
		t.Fatal(err)
	}
	pid, _ := os.Readlink("/proc/self/ns/pid")
	host, err := linked("/proc/1/ns/net")
	if err == nil && pid == "pid:[4026531836]" && yes != (host == self) {
		t.Errorf("got %v; process 1 is in %d, this one in %d", yes, host, self)
	}
	// tcp_max_orphans is a setting of the first namespace alone.
	_, err = os.Stat("/proc/sys/net/ipv4/tcp_max_orphans")
	if yes != (err == nil) {
		t.Errorf("got %v; tcp_max_orphans: %v", yes, err)
	}
}

func TestInitialThreeAnswers(t *testing.T) {
	const old = 4026531992 // of a kernel that numbers the first namespace like any other
	for _, test := range []struct {
		name             string
		self             uint64
		settings         []string
		pid, one         string
		want, unanswered bool
	}{
		{"by its inode", 4026531833, nil, "", "", true, false},
		{"by settings", old, []string{"tcp_fin_timeout", "tcp_max_orphans", "inet_peer_threshold"}, "pid:[4026532999]", "", true, false},
		{"by their absence", old, []string{"tcp_fin_timeout"}, "pid:[4026532999]", "", false, false},
		{"settings that disagree: process 1 says yes", old, []string{"tcp_fin_timeout", "inet_peer_threshold"}, "pid:[4026531836]", "net:[4026531992]", true, false},
		{"settings that disagree: process 1 says no", old, []string{"tcp_fin_timeout", "tcp_max_orphans"}, "pid:[4026531836]", "net:[4026531840]", false, false},
		{"no settings, and process 1 is a container's", old, nil, "pid:[4026532999]", "net:[4026531992]", false, true},
		{"no settings, and process 1 may not be read", old, nil, "pid:[4026531836]", "", false, true},
		{"no settings, the host's process 1", old, nil, "pid:[4026531836]", "net:[4026531992]", true, false},
	} {
		root := t.TempDir()
		link := func(path, text string) {
			path = filepath.Join(root, path)
			os.MkdirAll(filepath.Dir(path), 0o755)
			if err := os.Symlink(text, path); err != nil {
				t.Fatal(err)
			}
		}
		link("thread-self/ns/net", fmt.Sprintf("net:[%d]", test.self))
		if test.pid != "" {
			link("thread-self/ns/pid", test.pid)
		}
		if test.one != "" {
			link("1/ns/net", test.one)
		}
		for _, name := range test.settings {
			dir := filepath.Join(root, "sys/net/ipv4")
			os.MkdirAll(dir, 0o755)
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := initial(root)
		if got != test.want || (err != nil) != test.unanswered {
			t.Errorf("%s: %v, %v", test.name, got, err)
		}
	}
	if yes, err := initial(t.TempDir()); yes || err == nil {
		t.Errorf("without procfs: %v, %v", yes, err)
	}
}
