package remedy

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/netns"
)

func TestConf(t *testing.T) {
	const name = "net.ipv4.tcp_tw_reuse"
	for _, test := range []struct {
		what, before string
		to           tcpvet.Value
		want         string
	}{
		{"a new file", "", tcpvet.Value{Text: "1"}, confHead + name + " = 1\n"},
		{"other lines stay", "# mine\nnet.core.somaxconn=10\n", tcpvet.Value{Text: "1"}, "# mine\nnet.core.somaxconn=10\n" + name + " = 1\n"},
		{"a last line without end", "net.core.somaxconn=10", tcpvet.Value{Text: "1"}, "net.core.somaxconn=10\n" + name + " = 1\n"},
		{"in its place", name + "=0\n# end\n", tcpvet.Value{Text: "1"}, name + " = 1\n# end\n"},
		{"with slashes and a dash", "-net/ipv4/tcp_tw_reuse = 2\n", tcpvet.Value{Text: "1"}, name + " = 1\n"},
		{"the last of two", name + "=0\n" + name + "=2\n", tcpvet.Value{Text: "1"}, name + "=0\n" + name + " = 1\n"},
		{"a comment is none", "#" + name + "=2\n", tcpvet.Value{Text: "1"}, "#" + name + "=2\n" + name + " = 1\n"},
		{"taken out", "a=1\n" + name + "=2\nb=1\n", tcpvet.Value{Absent: true}, "a=1\nb=1\n"},
		{"of one's own nothing is left", confHead + name + " = 1\n", tcpvet.Value{Absent: true}, ""},
		{"taken out where it is not", "a=1\n", tcpvet.Value{Absent: true}, "a=1\n"},
	} {
		path := filepath.Join(t.TempDir(), "90-test.conf")
		if test.before != "" {
			if err := os.WriteFile(path, []byte(test.before), 0o640); err != nil {
				t.Fatal(err)
			}
		}
		c, err := readConf(path)
		if err != nil {
			t.Fatal(err)
		}
		c.set(name, test.to)
		if err := c.write(); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if string(b) != test.want || (err != nil) != (test.want == "") {
			t.Errorf("%s: %q, %v; want %q", test.what, b, err, test.want)
		}
		if info, err := os.Stat(path); err == nil && test.before != "" && info.Mode().Perm() != 0o640 {
			t.Errorf("%s: mode %v", test.what, info.Mode())
		}
		if c, err = readConf(path); err != nil || c.value(name) != test.to {
			t.Errorf("%s: reads %v, %v", test.what, c.value(name), err)
		}
		left, err := os.ReadDir(filepath.Dir(path))
		if err != nil || len(left) > 1 {
			t.Errorf("%s: left %v, %v", test.what, left, err)
		}
	}
}

func TestConfRefuses(t *testing.T) {
	dir := t.TempDir()
	link, big, folder := filepath.Join(dir, "link.conf"), filepath.Join(dir, "big.conf"), filepath.Join(dir, "folder.conf")
	if err := os.Symlink("/dev/null", link); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(big, []byte(strings.Repeat("#\n", maxConf/2+1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		link: "symbolic link", big: "more than", folder: "no regular file", filepath.Join(dir, "none", "x.conf"): "make the folder first",
	} {
		if _, err := readConf(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	// In a plan that is a refusal.
	changes := []tcpvet.Change{{Target: tcpvet.Target{Setting: "a.b.c", File: link}, After: tcpvet.Value{Text: "1"}}}
	if err := (sysctl{}).Present(context.Background(), changes); err != nil || changes[0].Outcome != tcpvet.OutcomeRefused {
		t.Errorf("%+v, %v", changes, err)
	}
}

// A line is written, journalled and taken out again. The setting has its value
// already, so that the kernel is left as it is.
func TestRootPersist(t *testing.T) {
	ctx := context.Background()
	kerneltest.Root(t)
	host, err := netns.Initial()
	if err != nil {
		t.Fatal(err)
	}
	now, err := readSetting(reuseSetting)
	if err != nil {
		t.Fatal(err)
	}
	j, file := journalIn(t), filepath.Join(t.TempDir(), "90-test.conf")
	opt := SysctlOptions{Settings: []tcpvet.SetSysctl{{Name: reuseSetting, Value: now}}, Persist: true, File: file}
	p, err := PlanSysctl(ctx, opt)
	if err != nil {
		t.Fatal(err)
	}
	if !host { // tests run in a container
		if got := outcomesOf(p); got != reuseSetting+" unchanged, "+reuseSetting+" refused" || p.Changes[1].Reason != errNotHost.Error() {
			t.Errorf("%s: %+v", got, p.Changes)
		}
		return
	}
	if got := outcomesOf(p); got != reuseSetting+" unchanged, "+reuseSetting || !p.Changes[1].Before.Absent || p.Changes[1].After.Text != now {
		t.Fatalf("%s: %+v", got, p.Changes)
	}
	if err := p.Apply(ctx, j); err != nil || p.Changes[1].Outcome != tcpvet.OutcomeApplied {
		t.Fatalf("%s, %v", outcomesOf(p), err)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != confHead+reuseSetting+" = "+now+"\n" {
		t.Errorf("%q, %v", b, err)
	}
	if again, err := PlanSysctl(ctx, opt); err != nil || again.Pending() {
		t.Errorf("planned again: %s, %v", outcomesOf(again), err)
	}
	u, err := PlanUndo(ctx, j, "", UndoOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Apply(ctx, j); err != nil || outcomesOf(u) != reuseSetting+" undone" {
		t.Errorf("%s, %v", outcomesOf(u), err)
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("the file is left: %v", err)
	}
}
