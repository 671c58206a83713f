package procfs

import (
	"io"
	"strings"

	"github.com/tcpvet/tcpvet"
)

// containerFromMounts finds the container by what its runtime mounted into it,
// for where a cgroup namespace hides the path: some files below /etc come from a
// folder named after the container, or after its pod. containerd names the
// folder after the pod's sandbox, so that the ID stays "" there; the kubelet's
// termination log gives the name.
func containerFromMounts(r io.Reader) *tcpvet.Container {
	// Files shared with the pod or with --network=container:other come
	// from that one's folder; the surest file wins.
	points := []string{"/run/.containerenv", "/etc/hostname", "/etc/resolv.conf", "/etc/hosts", "/dev/termination-log"}
	var roots [5]string
	ReadMounts(r, func(m *Mount) bool {
		for i, p := range points {
			if string(m.point) == p {
				roots[i] = m.Root()
			}
		}
		return true
	})
	c := tcpvet.Container{}
	for _, root := range roots {
		if id, runtime := containerFolder(root); c.ID == "" {
			c.ID, c.Runtime = id, runtime
		}
		if pod, name := podFolder(root); pod != "" {
			c.Pod = pod
			if name != "" {
				c.Name = name
			}
		}
	}
	if c.Pod != "" && c.Runtime == "podman" {
		c.Runtime = "cri-o" // they share their storage; the kubelet drives this one
	}
	if c.ID == "" && c.Pod == "" {
		return nil
	}
	return &c
}

// folders are where runtimes keep the files of one container: what stands
// before its ID. Storage may be a file system of its own, and a mount shows a
// path from the root of that, so only the end is sure.
var folders = []struct{ before, runtime string }{
	{"/overlay-containers/", "podman"},
	{"/btrfs-containers/", "podman"},
	{"/vfs-containers/", "podman"},
	{"/containers/", "docker"}, // also where its data root was moved
}

// containerFolder reads a path like /var/lib/docker/containers/ID/hostname.
func containerFolder(root string) (id, runtime string) {
	for _, f := range folders {
		if _, rest, ok := strings.Cut(root, f.before); ok {
			if id, _, ok := strings.Cut(rest, "/"); ok && isID(id) {
				return id, f.runtime
			}
		}
	}
	return "", ""
}

// podFolder reads a path like /var/lib/kubelet/pods/UID/etc-hosts or
// /var/lib/kubelet/pods/UID/containers/NAME/8f2c01ab.
func podFolder(root string) (uid, name string) {
	_, rest, ok := strings.Cut(root, "/pods/")
	if !ok {
		return "", ""
	}
	uid, rest, ok = strings.Cut(rest, "/")
	if uid = podUID("pod"+uid, true); !ok || uid == "" {
		return "", ""
	}
	if rest, ok = strings.CutPrefix(rest, "containers/"); ok {
		if n, _, ok := strings.Cut(rest, "/"); ok && fileName(n) {
			name = n
		}
	}
	return uid, name
}
