package owner_test

import (
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/owner"
)

// sighting is what a process in namespaces of its own finds.
type sighting struct {
	closing                  // by itself
	Found   []tcpvet.Process // of its own cookies
	Outside []bool           // of those that were given by the test
}

// inside closes sockets and looks them up, and then one of somebody outside.
func inside() error {
	var s sighting
	var err error
	if s.closing, err = myself(); err != nil {
		return err
	}
	r, err := owner.Open("")
	if err != nil {
		return err
	}
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		ends, err := connect(family)
		if err != nil {
			return err
		}
		number, err := end(ends.client, ends.server)
		if err != nil {
			return err
		}
		p, _, err := r.Lookup(number)
		if err != nil {
			return err
		}
		s.Cookies, s.Found = append(s.Cookies, number), append(s.Found, p)
	}
	for _, number := range outside() {
		_, ok, err := r.Lookup(number)
		if err != nil {
			return err
		}
		s.Outside = append(s.Outside, ok)
	}
	return kerneltest.Say(s)
}

// viewed is how a part looks from inside of namespaces.
type viewed struct {
	name   string
	argv   []string
	first  bool // the part is the first process of its PID namespace
	beyond bool // of what is remembered
}

// A process goes by the PID of the reader's namespace, and by its start as /proc has it
// there; one that the reader's namespace does not show stays unknown.
func TestRootNamespaces(t *testing.T) {
	unshare := kerneltest.Tool(t, "unshare")
	pid := []string{unshare, "--pid", "--fork", "--mount-proc"}
	var deep []string
	for range 4 {
		deep = append(deep, pid...)
	}
	for _, test := range []viewed{
		{"PID", pid, true, false},
		{"third PID", append(append([]string{}, pid...), append(pid, pid...)...), true, false},
		{"fifth PID", deep, true, true},
		{"time", []string{unshare, "--time", "--boottime", "100000"}, false, false},
		{"both", append([]string{unshare, "--time", "--boottime", "5000"}, pid...), true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			kerneltest.Undisturbed(t, func(t testing.TB) { testNamespaces(t, test) })
		})
	}
}

func testNamespaces(t testing.TB, test viewed) {
	stage(t)
	keep(t, owner.Options{})
	ends, err := connect(unix.AF_INET)
	must(t, err)
	mine, err := end(ends.client, ends.server)
	must(t, err)
	var s sighting
	kerneltest.Play(t, "inside", &s, func(cmd *exec.Cmd) {
		self, err := os.Executable()
		must(t, err)
		cmd.Path, cmd.Args = test.argv[0], append(test.argv[:len(test.argv):len(test.argv)], self)
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
		cmd.Env = append(cmd.Env, tell(mine))
	})
	if (s.PID == 1) != test.first {
		t.Fatalf("the part has PID %d", s.PID)
	}
	want := s.process()
	if test.beyond {
		want = tcpvet.Nobody
	}
	for i, p := range s.Found {
		if p != want {
			t.Errorf("socket %d: inside it is %v, and /proc says %v", i, p, want)
		}
	}
	if len(s.Outside) != 1 || s.Outside[0] == test.first {
		t.Errorf("what was closed outside is known inside: %v", s.Outside)
	}
	r := reader(t)
	for i, number := range s.Cookies {
		p, ok, err := r.Lookup(number)
		must(t, err)
		if !ok || !p.Known() || test.first && p.PID == 1 {
			t.Errorf("socket %d: outside it is %v %v", i, p, ok)
		}
	}
}

const nobody = 65534

// readOnly tells whether there is anything to read.
func readOnly() error {
	r, err := owner.Open("")
	if err != nil {
		return err
	}
	return kerneltest.Say(r != nil)
}

// An ordinary user reads nothing, and nothing is wrong with that.
func TestRootOrdinaryUser(t *testing.T) {
	stage(t)
	for _, kept := range []bool{false, true} {
		if kept {
			keep(t, owner.Options{})
		}
		var found bool
		kerneltest.Play(t, "read", &found, func(*exec.Cmd) {})
		if found != kept {
			t.Errorf("root finds something: %v, with a Keeper: %v", found, kept)
		}
		kerneltest.Play(t, "read", &found, func(cmd *exec.Cmd) {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		})
		if found {
			t.Errorf("nobody finds something, with a Keeper: %v", kept)
		}
	}
}
