package procfs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/tcpvet/tcpvet"
)

// naming is what a runtime left readable of a container.
type naming struct{ name, pod string }

// errNoName says that a runtime does not know the container.
var errNoName = errors.New("no such container")

// name fills in the names of a container from the files that its runtime keeps,
// and the runtime where the path did not tell it. user is the UID of the
// systemd user slice that it is in, for rootless runtimes.
func (ps *Processes) name(c *tcpvet.Container, user string) {
	if c.ID == "" || c.Name != "" {
		return
	}
	refused := false
	for _, r := range []struct {
		runtime string
		read    func(id, user string) (naming, error)
	}{
		{"docker", ps.dockerName},
		{"containerd", ps.containerdName},
		{"cri-o", ps.crioName},
		{"podman", ps.podmanName},
	} {
		if c.Runtime != "" && c.Runtime != r.runtime {
			continue
		}
		n, err := r.read(c.ID, user)
		if errors.Is(err, os.ErrPermission) {
			refused = true
		}
		if err != nil {
			continue
		}
		c.Runtime, c.Name = r.runtime, n.name
		if n.pod != "" {
			c.Pod = n.pod
		}
		return
	}
	if refused {
		ps.denied++
	}
}

// dockerName reads what dockerd keeps of a container. The names of a
// Kubernetes pod stand in its labels.
func (ps *Processes) dockerName(id, user string) (naming, error) {
	roots := []string{ps.host("/var/lib/docker")}
	if home := ps.home(user); home != "" {
		roots = append(roots, home+"/.local/share/docker")
	}
	var file struct {
		Name   string
		Config struct{ Labels map[string]string }
	}
	err := errNoName
	for _, root := range roots {
		if err = readJSON(filepath.Join(root, "containers", id, "config.v2.json"), maxBundle, &file); err != nil {
			continue
		}
		labels := file.Config.Labels
		if name := labels["io.kubernetes.container.name"]; name != "" {
			return naming{name, labels["io.kubernetes.pod.name"]}, nil
		}
		return naming{name: strings.TrimPrefix(file.Name, "/")}, nil
	}
	return naming{}, err
}

// containerdName reads the OCI bundle that containerd keeps of a running
// container; which of its namespaces that is in does not matter.
func (ps *Processes) containerdName(id, _ string) (naming, error) {
	err := errNoName
	for _, state := range []string{"/run/containerd", "/run/k3s/containerd"} {
		tasks := ps.host(state + "/io.containerd.runtime.v2.task")
		spaces, e := os.ReadDir(tasks)
		if e != nil {
			if errors.Is(e, os.ErrPermission) {
				err = e
			}
			continue
		}
		for _, space := range spaces {
			a, e := annotations(filepath.Join(tasks, space.Name(), id, "config.json"))
			if e != nil {
				if errors.Is(e, os.ErrPermission) {
					err = e
				}
				continue
			}
			n := naming{a["io.kubernetes.cri.container-name"], a["io.kubernetes.cri.sandbox-name"]}
			if n.name == "" {
				n.name = a["nerdctl/name"]
			}
			return n, nil
		}
	}
	return naming{}, err
}

// crioName reads the OCI bundle that CRI-O keeps of a running container.
func (ps *Processes) crioName(id, _ string) (naming, error) {
	a, err := annotations(ps.host("/run/containers/storage/overlay-containers/" + id + "/userdata/config.json"))
	if err != nil {
		return naming{}, err
	}
	n := naming{a["io.kubernetes.container.name"], a["io.kubernetes.pod.name"]}
	if n == (naming{}) {
		return naming{}, errNoName // a bundle of Podman, which uses the same folder
	}
	return n, nil
}

// podmanName looks an ID up in the list that containers/storage keeps.
func (ps *Processes) podmanName(id, user string) (naming, error) {
	roots := []string{ps.host("/var/lib/containers/storage")}
	if home := ps.home(user); home != "" {
		roots = append(roots, home+"/.local/share/containers/storage")
	}
	err := errNoName
	for _, root := range roots {
		file := root + "/overlay-containers/containers.json"
		names, ok := ps.podman[file]
		if !ok {
			var list []struct {
				ID    string
				Names []string
			}
			if e := readJSON(file, maxList, &list); e != nil {
				if errors.Is(e, os.ErrPermission) {
					err = e
				}
				continue
			}
			names = make(map[string]string, len(list))
			for _, c := range list {
				if len(c.Names) > 0 {
					names[c.ID] = c.Names[0]
				}
			}
			if ps.podman == nil {
				ps.podman = map[string]map[string]string{}
			}
			ps.podman[file] = names
		}
		if name, ok := names[id]; ok {
			return naming{name: name}, nil
		}
	}
	return naming{}, err
}

// host gives a path as it is called from here.
func (ps *Processes) host(path string) string { return filepath.Join(ps.FS.Host, path) }

// home gives the home directory of a user by UID, "" where it is not in
// /etc/passwd.
func (ps *Processes) home(uid string) string {
	if uid == "" {
		return ""
	}
	if ps.homes == nil {
		ps.homes = map[string]string{}
		b, err := readBounded(ps.host("/etc/passwd"), maxList)
		if err != nil {
			return ""
		}
		for line := range strings.Lines(string(b)) {
			if f := strings.Split(line, ":"); len(f) >= 7 && filepath.IsAbs(f[5]) {
				ps.homes[f[2]] = f[5]
			}
		}
	}
	if ps.homes[uid] == "" {
		return ""
	}
	return ps.host(ps.homes[uid])
}

// Bounds of files of runtimes, in bytes. A bundle of a Kubernetes container is
// about 20 KB; a list has about 1 KB for each container.
const (
	maxBundle = 1 << 20
	maxList   = 16 << 20
)

// annotations reads those of an OCI bundle.
func annotations(file string) (map[string]string, error) {
	var bundle struct{ Annotations map[string]string }
	err := readJSON(file, maxBundle, &bundle)
	return bundle.Annotations, err
}

func readJSON(file string, most int64, v any) error {
	b, err := readBounded(file, most)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	return nil
}

// readBounded reads a regular file that has at most so many bytes.
func readBounded(file string, most int64) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("read %s: not a regular file", file) // a FIFO would never end
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("read %s: more than %d bytes", file, most)
	}
	return b, err
}
