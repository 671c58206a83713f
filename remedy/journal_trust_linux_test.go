package remedy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// What others may write, or put another file in place of, is refused to be read and
// to be written.
func TestJournalRefuses(t *testing.T) {
	file := func(j *Journal) string { return filepath.Join(j.Dir, journalFile) }
	must := func(t *testing.T, errs ...error) {
		t.Helper()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name, want string
		spoil      func(t *testing.T, j *Journal)
	}{
		{"a folder that a group writes", "others may write", func(t *testing.T, j *Journal) { must(t, os.Chmod(j.Dir, 0o770)) }},
		{"a folder that all write", "chmod go-w", func(t *testing.T, j *Journal) { must(t, os.Chmod(j.Dir, 0o702)) }},
		{"a file that others write", "others may write", func(t *testing.T, j *Journal) { must(t, os.Chmod(file(j), 0o602)) }},
		{"a file with a second name", "2 names", func(t *testing.T, j *Journal) { must(t, os.Link(file(j), file(j)+"2")) }},
		{"a linked file", "symbolic link", func(t *testing.T, j *Journal) {
			must(t, os.Rename(file(j), file(j)+"2"), os.Symlink(file(j)+"2", file(j)))
		}},
		{"a linked folder", "symbolic link", func(t *testing.T, j *Journal) {
			must(t, os.Rename(j.Dir, j.Dir+"2"), os.Symlink(j.Dir+"2", j.Dir))
		}},
		{"a pipe", "no regular file", func(t *testing.T, j *Journal) { must(t, os.Remove(file(j)), unix.Mkfifo(file(j), 0o600)) }},
		{"a folder in place of the file", "", func(t *testing.T, j *Journal) { must(t, os.Remove(file(j)), os.Mkdir(file(j), 0o700)) }},
		{"a file in place of the folder", "", func(t *testing.T, j *Journal) {
			must(t, os.RemoveAll(j.Dir), os.WriteFile(j.Dir, nil, 0o600))
		}},
		{"a folder above that others write", "others may write", func(t *testing.T, j *Journal) { must(t, os.Chmod(filepath.Dir(j.Dir), 0o777)) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			j := journalIn(t)
			must(t, j.add(context.Background(), []byte("{}\n"), false))
			test.spoil(t, j)
			if err := j.add(context.Background(), []byte("{}\n"), false); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("write: %v, want %q", err, test.want)
			}
			if _, err := j.Log(5); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("read: %v, want %q", err, test.want)
			}
		})
	}
	// In a folder with the sticky bit nobody can put another one in its place.
	j := journalIn(t)
	must(t, j.add(context.Background(), []byte("{}\n"), false), os.Chmod(filepath.Dir(j.Dir), 0o777|fs.ModeSticky))
	must(t, j.add(context.Background(), []byte("{}\n"), false))
}

func TestRootJournalOfAnother(t *testing.T) {
	kerneltest.Root(t)
	const nobody = 65534 // what an unmapped user looks like, and is none here
	for _, uid := range []int{12345, nobody} {
		for name, path := range map[string]func(*Journal) string{
			"folder": func(j *Journal) string { return j.Dir },
			"file":   func(j *Journal) string { return filepath.Join(j.Dir, journalFile) },
			"above":  func(j *Journal) string { return filepath.Dir(j.Dir) },
		} {
			j := journalIn(t)
			if err := j.add(context.Background(), []byte("{}\n"), false); err != nil {
				t.Fatal(err)
			}
			if err := os.Chown(path(j), uid, -1); err != nil {
				t.Fatal(err)
			}
			if err := j.add(context.Background(), []byte("{}\n"), false); err == nil || !strings.Contains(err.Error(), fmt.Sprint("belongs to user ", uid)) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// addOne writes a line and tells how that went, and whose the root folder looks to be.
func addOne() error {
	var st unix.Stat_t
	if err := unix.Stat("/", &st); err != nil {
		return err
	}
	err := (&Journal{Dir: os.Getenv("JOURNAL_DIR")}).add(context.Background(), []byte("{}\n"), false)
	return kerneltest.Say([]string{fmt.Sprint(st.Uid), fmt.Sprint(err)})
}

// In a user namespace the folders above are nobody's, and are trusted all the same.
func TestRootJournalInUserNamespace(t *testing.T) {
	kerneltest.Root(t)
	kerneltest.UserNS(t)
	const user = 12345
	dir, err := os.MkdirTemp("/tmp", "remedy-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chown(dir, user, user); err != nil {
		t.Fatal(err)
	}
	var got []string
	kerneltest.Play(t, "journal-mapped", &got, func(c *exec.Cmd) {
		one := []syscall.SysProcIDMap{{ContainerID: 0, HostID: user, Size: 1}}
		c.Env = append(c.Env, "JOURNAL_DIR="+filepath.Join(dir, "journal"))
		c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: one, GidMappings: one, Credential: &syscall.Credential{}}
	})
	if got[0] != "65534" || got[1] != "<nil>" {
		t.Errorf("/ belongs to %s; %s", got[0], got[1])
	}
}
