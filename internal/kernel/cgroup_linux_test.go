package kernel

import "testing"

// The lines are laid out as proc_pid_mountinfo(5) says; the paths are those of
// systemd's hybrid layout, of cgroup 2 alone, and one that only a person makes.
func TestCgroup2In(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"hybrid", "31 23 0:26 / /sys/fs/cgroup/unified rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n" +
			"32 23 0:27 / /sys/fs/cgroup/systemd rw,nosuid shared:10 - cgroup cgroup rw,xattr\n", "/sys/fs/cgroup/unified"},
		{"only version 2", "30 23 0:25 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw\n", "/sys/fs/cgroup"},
		{"no optional field", "30 23 0:25 / /sys/fs/cgroup rw - cgroup2 none rw\n", "/sys/fs/cgroup"},
		{"space and backslash", `30 23 0:25 / /mnt/a\040b\134c rw - cgroup2 none rw`, `/mnt/a b\c`},
		{"only version 1", "32 23 0:27 / /sys/fs/cgroup/systemd rw - cgroup cgroup2 rw\n", ""},
		{"a path that looks like one", "32 23 0:27 / /mnt/cgroup2 rw - tmpfs cgroup2 rw\n", ""},
		{"empty", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, ok := cgroup2In([]byte(test.text))
			if got != test.want || ok != (test.want != "") {
				t.Errorf("got %q, %v, want %q", got, ok, test.want)
			}
		})
	}
}

func FuzzCgroup2In(f *testing.F) {
	f.Add([]byte("31 23 0:26 / /sys/fs/cgroup/unified rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"))
	f.Add([]byte("1 2 3 - cgroup2 \n - cgroup2 "))
	f.Fuzz(func(t *testing.T, text []byte) {
		path, ok := cgroup2In(text)
		if len(path) > len(text) || !ok && path != "" {
			t.Errorf("%q: found %q, %v", text, path, ok)
		}
	})
}
