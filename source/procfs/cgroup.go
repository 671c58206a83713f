package procfs

import (
	"bytes"
	"strings"

	"github.com/tcpvet/tcpvet"
)

// identity is what a process runs in.
type identity struct {
	container *tcpvet.Container
	unit      string
}

// place is what /proc/PID/cgroup tells of a process.
type place struct {
	identity
	user string // UID of the systemd user slice, "" outside one

	// hidden tells that the path begins at the root of a cgroup namespace,
	// or above the reader's own: whatever may stand before it does not show.
	hidden bool
}

// parseCgroup reads /proc/PID/cgroup (cgroups.7): lines of hierarchy,
// controllers and path, of cgroup 1, cgroup 2 or both. The first line that
// shows a container gives it: in a hybrid layout only some do. A unit shows in
// the hierarchies that systemd keeps.
func parseCgroup(b []byte) place {
	var p place
	seen := false
	for line := range bytes.Lines(b) {
		_, rest, ok := bytes.Cut(bytes.TrimRight(line, "\n"), []byte{':'})
		if !ok {
			continue
		}
		controllers, path, ok := bytes.Cut(rest, []byte{':'})
		if !ok {
			continue
		}
		l := parseCgroupPath(string(path))
		if p.container == nil && l.container != nil {
			p.container = l.container
		}
		if systemd := len(controllers) == 0 || string(controllers) == "name=systemd"; systemd && p.unit == "" {
			p.unit = l.unit
		}
		if p.user == "" {
			p.user = l.user
		}
		p.hidden = l.hidden && (!seen || p.hidden)
		seen = true
	}
	return p
}

// parseCgroupPath reads the path of one hierarchy. The innermost container
// counts, since containers nest (kind, Docker in Docker), and only a unit
// inside it: a container's own scope is not one.
func parseCgroupPath(path string) place {
	var p place
	p.hidden = path == "/" || path == "/.." || strings.HasPrefix(path, "/../")
	parts := strings.Split(strings.Trim(path, "/"), "/")
	pod := ""
	kube := false
	for i, part := range parts {
		parent := ""
		if i > 0 {
			parent = parts[i-1]
		}
		// runc writes slice:runtime:id as one name where its cgroup
		// driver is not the one that the kubelet meant.
		if slice, rest, ok := strings.Cut(part, ":"); ok {
			if runtime, id, ok := strings.Cut(rest, ":"); ok {
				parent, part = slice, runtime+"-"+id
				if uid := podUID(slice, true); uid != "" {
					pod = uid
				}
			}
		}
		kube = kube || strings.Contains(part, "kubepods")
		if uid := podUID(part, kube); uid != "" {
			pod = uid
			continue
		}
		if user, ok := strings.CutPrefix(part, "user-"); ok {
			if uid, ok := strings.CutSuffix(user, ".slice"); ok && digits([]byte(uid)) {
				p.user = uid
			}
		}
		next := ""
		if i+1 < len(parts) {
			next = parts[i+1]
		}
		if c, ok := container(part, parent, next, i); ok {
			c.Pod = pod
			p.container, p.unit = &c, ""
			continue
		}
		if strings.HasSuffix(part, ".service") || strings.HasSuffix(part, ".scope") {
			p.unit = part
		}
	}
	return p
}

// scopes are the prefixes that runtimes put before an ID. A conmon is the
// monitor of a container and stands outside it.
var scopes = []struct{ prefix, runtime string }{
	{"docker-", "docker"},
	{"cri-containerd-", "containerd"},
	{"nerdctl-", "containerd"},
	{"crio-", "cri-o"},
	{"libpod-payload-", "podman"},
	{"libpod-", "podman"},
}

// container tells whether a part of a cgroup path is that of a container.
func container(part, parent, next string, depth int) (c tcpvet.Container, ok bool) {
	base := strings.TrimSuffix(part, ".scope")
	for _, s := range scopes {
		if id, found := strings.CutPrefix(base, s.prefix); found && isID(id) {
			return tcpvet.Container{ID: id, Runtime: s.runtime}, true
		}
	}
	named := func(name, runtime string) (tcpvet.Container, bool) {
		return tcpvet.Container{ID: name, Name: name, Runtime: runtime}, name != ""
	}
	switch {
	case isID(part):
		runtimes := map[string]string{"docker": "docker", "k8s.io": "containerd", "default": "containerd", "moby": "docker"}
		return tcpvet.Container{ID: part, Runtime: runtimes[parent]}, true
	case depth == 1 && (parent == "default" || parent == "k8s.io") && fileName(part):
		return tcpvet.Container{ID: part, Runtime: "containerd"}, true
	case strings.HasPrefix(part, "lxc.payload."):
		return named(strings.TrimPrefix(part, "lxc.payload."), "lxc")
	case depth == 1 && parent == "lxc":
		return named(part, "lxc")
	case strings.HasPrefix(part, "systemd-nspawn@") && strings.HasSuffix(part, ".service") && next != "supervisor":
		name := strings.TrimSuffix(strings.TrimPrefix(part, "systemd-nspawn@"), ".service")
		return named(unescape(hexEscapes(name)), "systemd-nspawn")
	case parent == "machine.slice" && strings.HasPrefix(part, "machine-") && base != part && next != "supervisor":
		name := unescape(hexEscapes(strings.TrimPrefix(base, "machine-")))
		switch {
		case strings.HasPrefix(name, "qemu-"): // libvirt: a virtual machine
			return tcpvet.Container{}, false
		case strings.HasPrefix(name, "lxc-"):
			return named(name, "lxc")
		}
		return named(name, "systemd-nspawn")
	}
	return tcpvet.Container{}, false
}

// podUID gives the UID in a Kubernetes pod's part of the path:
// kubepods-burstable-podUID.slice with underscores for dashes (systemd), or
// podUID below a part kubepods (cgroupfs). "" for anything else.
func podUID(part string, kube bool) string {
	if !kube {
		return ""
	}
	uid, ok := strings.CutPrefix(part, "pod")
	if !ok {
		slice, isSlice := strings.CutSuffix(part, ".slice")
		i := strings.LastIndex(slice, "-pod")
		if !isSlice || i < 0 {
			return ""
		}
		uid = slice[i+len("-pod"):]
	}
	uid = strings.ReplaceAll(uid, "_", "-")
	if uid == "" || strings.Trim(uid, "0123456789abcdef-") != "" {
		return "" // kubepods-podium.slice
	}
	return uid
}

// isID tells whether s is an ID as the OCI runtimes make them.
func isID(s string) bool {
	const length = 64
	return len(s) == length && strings.Trim(s, "0123456789abcdef") == ""
}

// fileName tells whether a runtime would take s for a container's name, so
// that it cannot lead out of a folder.
func fileName(s string) bool {
	if s == "" || s[0] == '.' || len(s) > 255 {
		return false
	}
	for _, c := range []byte(s) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && c != '_' && c != '.' && c != '-' {
			return false
		}
	}
	return true
}

// hexEscapes turns systemd's \x2d (systemd.unit.5, string escaping) into the
// octal escapes that unescape undoes.
func hexEscapes(s string) []byte {
	var b []byte
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) && s[i+1] == 'x' {
			if v, ok := hex([]byte(s[i+2:i+4]), 2); ok {
				b = append(b, '\\', '0'+byte(v>>6), '0'+byte(v>>3&7), '0'+byte(v&7))
				i += 3
				continue
			}
		}
		b = append(b, s[i])
	}
	return b
}
