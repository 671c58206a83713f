package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// scene is what tests could leave changed, each thing with its value.
type scene map[string]string

// look takes the scene: files of the checkout, links, named network
// namespaces, mounts, cgroups and the settings of this network namespace.
// Everything that runs has a TMPDIR and a mark of its own, so files and
// processes need no comparison.
func (r *repo) look() scene {
	s := scene{}
	if r.inGit() {
		out, _ := r.output(context.Background(), "git", "status", "--porcelain=v1", "-z", "--untracked-files=all")
		for entry := range strings.SplitSeq(out, "\x00") {
			if len(entry) > 3 {
				s["file "+entry[3:]] = entry[:2]
			}
		}
	}
	for _, dir := range []struct{ what, path string }{
		{"network link ", "/sys/class/net"},
		{"network namespace ", "/run/netns"},
	} {
		entries, _ := os.ReadDir(dir.path)
		for _, e := range entries {
			s[dir.what+e.Name()] = "there"
		}
	}
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range bytes.Lines(mounts) {
		if f := bytes.Fields(line); len(f) > 4 {
			s["mount "+string(f[4])] = "there"
		}
	}
	s.cgroups("/sys/fs/cgroup")
	s.settings("/proc/sys/net")
	return s
}

// cgroups notes those that bear our name; others come and go with the system's
// services.
func (s scene) cgroups(root string) {
	filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.Contains(d.Name(), "tcpvet") {
			s["cgroup "+path] = "there"
		}
		return nil
	})
}

// settings notes the values below a folder of /proc/sys that can be read.
func (s scene) settings(root string) {
	filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || moves(d.Name()) {
			return nil
		}
		if value, err := os.ReadFile(path); err == nil {
			s["setting "+path] = strings.TrimSpace(string(value))
		}
		return nil
	})
}

// moves names the files below /proc/sys/net that change by themselves: counts,
// and what a module adds to when it is loaded.
func moves(name string) bool {
	return strings.HasSuffix(name, "_count") || strings.Contains(name, "_available_") || name == "flush"
}

// since lists what differs from an earlier scene. A setting that is new came
// with a module that the kernel loaded; one that is gone went with its link.
func (s scene) since(before scene) (changes []string) {
	for _, what := range slices.Sorted(maps.Keys(s)) {
		was, known := before[what]
		switch {
		case known && was != s[what]:
			changes = append(changes, fmt.Sprintf("%s: was %q, is %q", what, was, s[what]))
		case !known && !strings.HasPrefix(what, "setting "):
			changes = append(changes, what+": new")
		}
	}
	for _, what := range slices.Sorted(maps.Keys(before)) {
		if _, known := s[what]; !known && !strings.HasPrefix(what, "setting ") {
			changes = append(changes, what+": gone")
		}
	}
	return changes
}

// checkLeftovers fails for every process, file, mount, cgroup, namespace, link
// and setting that the run left behind. What is just ending gets a few seconds.
func (r *repo) checkLeftovers(before scene) error {
	const grace = 5 * time.Second
	var left []string
	for deadline := time.Now().Add(grace); ; time.Sleep(100 * time.Millisecond) {
		left = append(r.look().since(before), r.processes()...)
		left = append(left, r.tempFiles()...)
		if len(left) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the run left behind:\n  %s", strings.Join(left, "\n  "))
		}
	}
}

// processes lists those that carry the run's mark in their environment, each
// with its network namespace where that is not ours.
func (r *repo) processes() (left []string) {
	dirs, _ := os.ReadDir("/proc")
	ours, _ := os.Readlink("/proc/self/ns/net")
	for _, d := range dirs {
		if _, err := strconv.Atoi(d.Name()); err != nil {
			continue
		}
		environ, err := os.ReadFile("/proc/" + d.Name() + "/environ")
		if err != nil || !marked(environ, r.mark) {
			continue
		}
		line, _ := os.ReadFile("/proc/" + d.Name() + "/cmdline")
		what := fmt.Sprintf("process %s: %s", d.Name(), strings.ReplaceAll(strings.Trim(string(line), "\x00"), "\x00", " "))
		if ns, err := os.Readlink("/proc/" + d.Name() + "/ns/net"); err == nil && ns != ours {
			what += " in network namespace " + ns
		}
		left = append(left, what)
	}
	return left
}

func marked(environ []byte, mark string) bool {
	for v := range bytes.SplitSeq(environ, []byte{0}) {
		if string(v) == mark {
			return true
		}
	}
	return false
}

// tempFiles lists what is in the run's TMPDIR: the go command removes its own.
func (r *repo) tempFiles() (left []string) {
	entries, err := os.ReadDir(r.temp)
	if err != nil {
		return []string{"temporary files: " + err.Error()}
	}
	for _, e := range entries {
		left = append(left, "temporary file "+e.Name())
	}
	return left
}
