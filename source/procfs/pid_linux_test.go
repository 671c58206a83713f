package procfs

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"golang.org/x/sys/unix"
)

// host gives a copy of a fixture tree, with the links that a process has.
func host(t *testing.T, name string) FS {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata/hosts", name))); err != nil {
		t.Fatal(err)
	}
	procs, err := os.ReadDir(filepath.Join(dir, "proc"))
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range procs {
		at := filepath.Join(dir, "proc", p.Name())
		if err := os.Mkdir(filepath.Join(at, "ns"), 0o755); err != nil {
			t.Fatal(err)
		}
		for link, text := range map[string]string{
			"exe":    "/usr/bin/prog (deleted)",
			"ns/net": fmt.Sprintf("net:[%d]", 4026532100+i),
			"ns/mnt": fmt.Sprintf("mnt:[%d]", 4026532200+i),
		} {
			if err := os.Symlink(text, filepath.Join(at, link)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return FS{Root: filepath.Join(dir, "proc"), Host: dir}
}

func TestProcessInfoContainers(t *testing.T) {
	for _, test := range []struct {
		host string
		pid  int32
		want *tcpvet.Container
		unit string
	}{
		{"docker", 4121, &tcpvet.Container{ID: idA, Name: "shop-api-1", Runtime: "docker"}, ""},
		{"docker", 4122, &tcpvet.Container{ID: idB, Name: "cache", Runtime: "docker", Pod: "shop-0"}, ""},
		{"docker", 900, nil, "docker.service"},
		{"private", 4121, &tcpvet.Container{ID: idA, Name: "hidden", Runtime: "docker"}, ""},
		{"private", 4130, nil, ""},
		{"containerd", 4121, &tcpvet.Container{ID: idA, Name: "api", Runtime: "containerd", Pod: "shop-6d5f7c9b8-x2x4z"}, ""},
		{"containerd", 4122, &tcpvet.Container{ID: idB, Name: "web", Runtime: "containerd"}, ""},
		{"containerd", 4123, &tcpvet.Container{ID: idA, Name: "api", Runtime: "containerd", Pod: "shop-6d5f7c9b8-x2x4z"}, ""},
		{"k3s", 4121, &tcpvet.Container{ID: idA, Name: "traefik", Runtime: "containerd", Pod: "traefik-0"}, ""},
		{"cri-o", 4121, &tcpvet.Container{ID: idA, Name: "etcd", Runtime: "cri-o", Pod: "etcd-master-0"}, ""},
		{"cri-o", 4120, nil, "crio-conmon-" + idA + ".scope"},
		{"podman", 4121, &tcpvet.Container{ID: idA, Name: "db", Runtime: "podman"}, ""},
		{"podman", 4122, &tcpvet.Container{ID: idB, Name: "proxy", Runtime: "podman"}, ""},
		{"damaged", 4121, &tcpvet.Container{ID: idA, Runtime: "docker"}, ""},
	} {
		info, err := host(t, test.host).ProcessInfo(tcpvet.Process{PID: test.pid, Start: 8842})
		if err != nil {
			t.Errorf("%s %d: %v", test.host, test.pid, err)
			continue
		}
		if d := cmp.Diff(test.want, info.Container); d != "" || info.Unit != test.unit {
			t.Errorf("%s %d: unit %q, want %q; container -want +got:\n%s", test.host, test.pid, info.Unit, test.unit, d)
		}
	}
}

func TestProcessInfoOfFixture(t *testing.T) {
	fs := host(t, "docker")
	info, err := fs.ProcessInfo(tcpvet.Process{PID: 4121, Start: 8842})
	if err != nil {
		t.Fatal(err)
	}
	want := tcpvet.ProcessInfo{
		Comm: "python3", Args: []string{"python3", "app.py"}, Exe: "prog", UID: 1000, DescriptorLimit: 1024,
		Netns:     4026532100, // the first of the tree
		Container: &tcpvet.Container{ID: idA, Name: "shop-api-1", Runtime: "docker"},
	}
	if d := cmp.Diff(want, info); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	for name, p := range map[string]tcpvet.Process{
		"a PID used again":  {PID: 4121, Start: 8841},
		"a PID that is not": {PID: 4, Start: 8842},
	} {
		if info, err := fs.ProcessInfo(p); !errors.Is(err, ErrEnded) {
			t.Errorf("%s: %+v, %v", name, info, err)
		}
	}
	if _, err := (FS{Root: "testdata/absent"}).ProcessInfo(tcpvet.Process{PID: 1}); !errors.Is(err, os.ErrNotExist) || errors.Is(err, ErrEnded) {
		t.Errorf("without procfs: %v", err)
	}
}

// Processes of one cgroup are looked up once: what changes meanwhile does not
// show, and a second process does not read the runtime's files again.
func TestProcessesRemembersContainers(t *testing.T) {
	fs := host(t, "podman")
	ps := Processes{FS: fs}
	p := tcpvet.Process{PID: 4121, Start: 8842}
	first, err := ps.Info(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(fs.Host, "var")); err != nil {
		t.Fatal(err)
	}
	second, err := ps.Info(p)
	if err != nil || first.Container == nil || second.Container != first.Container {
		t.Errorf("first %+v, then %+v, %v", first.Container, second.Container, err)
	}
	// Two private roots look alike but for the mount namespace.
	ps = Processes{FS: host(t, "private")}
	inside, _ := ps.Info(p)
	outside, _ := ps.Info(tcpvet.Process{PID: 4130, Start: 8842})
	if inside.Container == nil || outside.Container != nil {
		t.Errorf("inside %+v, outside %+v", inside.Container, outside.Container)
	}
}

func TestProcessInfoArgsAreCut(t *testing.T) {
	fs := host(t, "docker")
	long := strings.Repeat("x", 3*maxArgs)
	if err := os.WriteFile(filepath.Join(fs.Root, "4121/cmdline"), []byte("java\x00-cp\x00"+long+"\x00Main\x00"), 0o644); err != nil {
		t.Fatal(err)
	}
	info, err := fs.ProcessInfo(tcpvet.Process{PID: 4121, Start: 8842})
	if err != nil || len(info.Args) != 3 || info.Args[0] != "java" || len(strings.Join(info.Args, " ")) != maxArgs {
		t.Errorf("%d arguments, %d bytes, %v", len(info.Args), len(strings.Join(info.Args, " ")), err)
	}
}

func TestReadBounded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, make([]byte, 100), 0o644); err != nil {
		t.Fatal(err)
	}
	if b, err := readBounded(file, 100); err != nil || len(b) != 100 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if b, err := readBounded(file, 99); err == nil {
		t.Errorf("%d bytes of at most 99", len(b))
	}
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := readBounded(fifo, 99); err == nil {
		t.Error("a FIFO was read")
	}
}

// Of a real process the operating system says the same by other calls.
func TestProcessInfoOfSelf(t *testing.T) {
	self := process(t, os.Getpid())
	info, err := FS{}.ProcessInfo(self)
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	var st syscall.Stat_t
	if err := syscall.Stat("/proc/self/ns/net", &st); err != nil {
		t.Fatal(err)
	}
	if info.Exe != filepath.Base(exe) || !slices.Equal(info.Args, os.Args) || int(info.UID) != os.Geteuid() ||
		info.DescriptorLimit != limit.Cur || uint64(info.Netns) != st.Ino || info.LeaderExited ||
		!strings.HasPrefix(filepath.Base(exe), info.Comm) {
		t.Errorf("got %+v; want executable %s, arguments %q, user %d, limit %d, namespace %d", info, exe, os.Args, os.Geteuid(), limit.Cur, st.Ino)
	}
}

// insideContainer makes of itself what Docker makes of a process, and prints
// what it finds itself in.
func insideContainer() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount(os.Getenv("HOSTNAME_FILE"), "/etc/hostname", "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount a hostname: %w", err)
	}
	b, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return err
	}
	st, err := parseStat(b)
	if err != nil {
		return err
	}
	info, err := FS{}.ProcessInfo(tcpvet.Process{PID: int32(os.Getpid()), Start: st.start})
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(info); err != nil {
		return err
	}
	os.Stdin.Read(make([]byte, 1))
	return nil
}

// cgroup2 gives where cgroup 2 is mounted.
func cgroup2(t *testing.T) string {
	t.Helper()
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	point := ""
	ReadMounts(f, func(m *Mount) bool {
		if m.Is("cgroup2") {
			point = m.Point()
		}
		return point == ""
	})
	if point == "" {
		t.Skip(kerneltest.LacksFeature + " a mounted cgroup 2")
	}
	return point
}

// A real cgroup of a name like Docker's, seen from outside by its path, and
// from inside its own cgroup namespace, which hides the path, by the mounts.
func TestRootContainer(t *testing.T) {
	kerneltest.Root(t)
	mount := cgroup2(t)
	parent := filepath.Join(mount, "tcpvet-test-"+strconv.Itoa(os.Getpid()))
	group := filepath.Join(parent, "docker-"+idA+".scope")
	if err := os.MkdirAll(group, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, dir := range []string{group, parent} {
			if err := os.Remove(dir); err != nil {
				t.Error(err)
			}
		}
	})
	cg, err := os.Open(group)
	if err != nil {
		t.Fatal(err)
	}
	defer cg.Close()
	file := filepath.Join(t.TempDir(), "docker/containers", idB, "hostname")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("inside\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Run("outside and inside", func(t *testing.T) { // ends the process before the cgroup is removed
		pid, line := play(t, "container", func(c *exec.Cmd) {
			c.Env = append(c.Env, "HOSTNAME_FILE="+file)
			c.SysProcAttr = &syscall.SysProcAttr{
				UseCgroupFD: true, CgroupFD: int(cg.Fd()),
				// After clone3 has put it there, or its root would be another's.
				Unshareflags: syscall.CLONE_NEWNS | unix.CLONE_NEWCGROUP,
			}
		})
		outside, err := FS{}.ProcessInfo(process(t, pid))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(&tcpvet.Container{ID: idA, Runtime: "docker"}, outside.Container); d != "" {
			t.Errorf("from outside: -want +got:\n%s", d)
		}
		var inside tcpvet.ProcessInfo
		if err := json.Unmarshal([]byte(line), &inside); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(&tcpvet.Container{ID: idB, Runtime: "docker"}, inside.Container); d != "" {
			t.Errorf("from inside: -want +got:\n%s", d)
		}
	})
}
