package procfs

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tcpvet/tcpvet"
)

// IDs and a UID in the forms that runtimes and Kubernetes give them.
const (
	idA    = "7f9a1c20d35e4b6879a0b1c2d3e4f5061728394a5b6c7d8e9f00112233445566"
	idB    = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	uid    = "3c7a5b1e-9d2f-4e6a-8b0c-1d2e3f405162"
	uscore = "3c7a5b1e_9d2f_4e6a_8b0c_1d2e3f405162"
)

func TestParseCgroupPath(t *testing.T) {
	for path, want := range map[string]place{
		// Docker
		"/docker/" + idA:                                 in("docker", idA, "", ""),
		"/system.slice/docker-" + idA + ".scope":         in("docker", idA, "", ""),
		"/system.slice/docker.service":                   unit("docker.service"),
		"/docker/" + idA + "/docker/" + idB:              in("docker", idB, "", ""),
		"/docker/" + idA + "/system.slice/nginx.service": {identity: identity{&tcpvet.Container{ID: idA, Runtime: "docker"}, "nginx.service"}},
		"/user.slice/user-1000.slice/user@1000.service/user.slice/docker-" + idA + ".scope": {identity: identity{container: &tcpvet.Container{ID: idA, Runtime: "docker"}}, user: "1000"},
		"/ecs/9781c248-0edd-4cdb-9a93-f63cb662a5d3/" + idA:                                  in("", idA, "", ""),

		// Kubernetes
		"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + uscore + ".slice/cri-containerd-" + idA + ".scope": in("containerd", idA, uid, ""),
		"/kubepods.slice/kubepods-pod" + uscore + ".slice/crio-" + idA + ".scope":                                              in("cri-o", idA, uid, ""),
		"/kubepods.slice/kubepods-pod" + uscore + ".slice/crio-" + idA + ".scope/container":                                    in("cri-o", idA, uid, ""),
		"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" + uscore + ".slice/docker-" + idA + ".scope":       in("docker", idA, uid, ""),
		"/kubepods/besteffort/pod" + uid + "/" + idA:                                                                           in("", idA, uid, ""),
		"/kubepods/pod" + uid + "/crio-" + idA:                                                                                 in("cri-o", idA, uid, ""),
		"/kubepods/burstable/pod0f1e2d3c4b5a69788796a5b4c3d2e1f0/" + idA:                                                       in("", idA, "0f1e2d3c4b5a69788796a5b4c3d2e1f0", ""), // a static pod
		"/system.slice/containerd.service/kubepods-burstable-pod" + uscore + ".slice:cri-containerd:" + idA:                    in("containerd", idA, uid, ""),
		"/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod" + uscore + ".slice/cri-containerd-" + idA + ".scope":      in("containerd", idA, uid, ""),
		"/docker/" + idB + "/kubelet/kubepods/pod" + uid + "/" + idA:                                                           in("", idA, uid, ""), // kind
		"/../../kubepods-besteffort-pod" + uscore + ".slice/cri-containerd-" + idA + ".scope":                                  {identity: identity{container: &tcpvet.Container{ID: idA, Runtime: "containerd", Pod: uid}}, hidden: true},
		"/machine.slice/crio-conmon-" + idA + ".scope":                                                                         unit("crio-conmon-" + idA + ".scope"),

		// containerd without Kubernetes
		"/k8s.io/" + idA:  in("containerd", idA, "", ""),
		"/default/" + idA: in("containerd", idA, "", ""),
		"/default/redis":  in("containerd", "redis", "", ""),
		"/default/..":     {},
		"/system.slice/nerdctl-" + idA + ".scope": in("containerd", idA, "", ""),

		// Podman
		"/machine.slice/libpod-" + idA + ".scope":                                                     in("podman", idA, "", ""),
		"/machine.slice/libpod-" + idA + ".scope/container":                                           in("podman", idA, "", ""),
		"/libpod_parent/libpod-" + idA:                                                                in("podman", idA, "", ""),
		"/machine.slice/libpod-conmon-" + idA + ".scope":                                              unit("libpod-conmon-" + idA + ".scope"),
		"/system.slice/web.service/libpod-payload-" + idA:                                             in("podman", idA, "", ""),
		"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + idA + ".scope/container": {identity: identity{container: &tcpvet.Container{ID: idA, Runtime: "podman"}}, user: "1000"},

		// LXC, systemd-nspawn, libvirt
		"/lxc.payload.web/system.slice/nginx.service":                {identity: identity{&tcpvet.Container{ID: "web", Name: "web", Runtime: "lxc"}, "nginx.service"}},
		"/lxc.monitor.web":                                           {},
		"/lxc/101/ns":                                                in("lxc", "101", "", "101"),
		"/machine.slice/systemd-nspawn@db.service/payload":           in("systemd-nspawn", "db", "", "db"),
		"/machine.slice/systemd-nspawn@db.service/supervisor":        unit("systemd-nspawn@db.service"),
		`/machine.slice/machine-my\x2dbox.scope`:                     in("systemd-nspawn", "my-box", "", "my-box"),
		`/machine.slice/machine-qemu\x2d1\x2dvm.scope/libvirt/vcpu0`: unit(`machine-qemu\x2d1\x2dvm.scope`),

		// systemd
		"/system.slice/nginx.service":                 unit("nginx.service"),
		"/system.slice/foo.service/supervisor":        unit("foo.service"),
		"/init.scope":                                 unit("init.scope"),
		"/user.slice/user-1000.slice/session-3.scope": {identity: identity{unit: "session-3.scope"}, user: "1000"},
		"/user.slice/user-1000.slice/user@1000.service/app.slice/app-firefox-77.scope": {identity: identity{unit: "app-firefox-77.scope"}, user: "1000"},

		// nothing
		"/":                               {hidden: true},
		"/..":                             {hidden: true},
		"/../..":                          {hidden: true},
		"/batch/300e4f1d44":               {},
		"/kubepods-podium.slice":          {},
		"/docker-" + idA[1:] + ".scope":   unit("docker-" + idA[1:] + ".scope"), // one digit short
		"/docker/" + strings.ToUpper(idA): {},
	} {
		if d := cmp.Diff(want, parseCgroupPath(path), cmp.AllowUnexported(place{}, identity{})); d != "" {
			t.Errorf("%s: -want +got:\n%s", path, d)
		}
	}
}

func in(runtime, id, pod, name string) place {
	return place{identity: identity{container: &tcpvet.Container{ID: id, Name: name, Runtime: runtime, Pod: pod}}}
}

func unit(name string) place { return place{identity: identity{unit: name}} }

func TestParseCgroup(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       place
	}{
		{"cgroup 2", "0::/system.slice/nginx.service\n", unit("nginx.service")},
		{"cgroup 1", "12:pids:/docker/" + idA + "\n11:cpu,cpuacct:/docker/" + idA + "\n1:name=systemd:/docker/" + idA + "\n", in("docker", idA, "", "")},
		{"hybrid, the container in one controller only", "5:devices:/\n4:memory:/docker/" + idA + "\n1:name=systemd:/system.slice/docker.service\n0::/system.slice/docker.service\n",
			place{identity: identity{&tcpvet.Container{ID: idA, Runtime: "docker"}, "docker.service"}}},
		{"a controller's path is no unit", "4:memory:/a.service\n0::/b.service\n", unit("b.service")},
		{"private cgroup namespace", "0::/\n", place{hidden: true}},
		{"at the root of most hierarchies", "9:name=systemd:/\n4:memory:/batch/300e\n0::/\n", place{}},
		{"no line at all", "", place{}},
		{"colons in a path", "0::/kubepods-pod" + uscore + ".slice:cri-containerd:" + idA, in("containerd", idA, uid, "")},
		{"cut", "0:", place{}},
	} {
		if d := cmp.Diff(test.want, parseCgroup([]byte(test.text)), cmp.AllowUnexported(place{}, identity{})); d != "" {
			t.Errorf("%s: -want +got:\n%s", test.name, d)
		}
	}
}

func TestContainerFromMounts(t *testing.T) {
	line := func(root, point string) string {
		return "510 480 8:1 " + root + " " + point + " rw,relatime - ext4 /dev/sda1 rw\n"
	}
	for _, test := range []struct {
		name, text string
		want       *tcpvet.Container
	}{
		{"the host", line("/", "/"), nil},
		{"a host with Docker: its own mounts of containers do not count", line("/", "/") + "99 1 0:50 / /var/lib/docker/overlay2/" + idA + "/merged rw - overlay overlay rw,upperdir=/x\n", nil},
		{"Docker", line("/var/lib/docker/containers/"+idA+"/resolv.conf", "/etc/resolv.conf") + line("/var/lib/docker/containers/"+idA+"/hostname", "/etc/hostname"),
			&tcpvet.Container{ID: idA, Runtime: "docker"}},
		{"Docker, its data on a file system of its own", line("/containers/"+idA+"/hostname", "/etc/hostname"), &tcpvet.Container{ID: idA, Runtime: "docker"}},
		{"Podman in a pod: resolv.conf is the pod's", line("/containers/storage/overlay-containers/"+idB+"/userdata/resolv.conf", "/etc/resolv.conf") +
			line("/containers/storage/overlay-containers/"+idA+"/userdata/.containerenv", "/run/.containerenv"), &tcpvet.Container{ID: idA, Runtime: "podman"}},
		{"CRI-O", line("/containers/storage/overlay-containers/"+idA+"/userdata/hostname", "/etc/hostname") + line("/var/lib/kubelet/pods/"+uid+"/etc-hosts", "/etc/hosts"),
			&tcpvet.Container{ID: idA, Runtime: "cri-o", Pod: uid}},
		{"containerd: the folder is the sandbox's", line("/var/lib/containerd/io.containerd.grpc.v1.cri/sandboxes/"+idB+"/hostname", "/etc/hostname") +
			line("/var/lib/kubelet/pods/"+uid+"/etc-hosts", "/etc/hosts") + line("/var/lib/kubelet/pods/"+uid+"/containers/api/8f2c01ab", "/dev/termination-log"),
			&tcpvet.Container{Name: "api", Pod: uid}},
		{"a blank in the path", line(`/my\040data/docker/containers/`+idA+"/hostname", "/etc/hostname"), &tcpvet.Container{ID: idA, Runtime: "docker"}},
		{"no ID", line("/srv/containers/web/hostname", "/etc/hostname"), nil},
		{"elsewhere", line("/var/lib/docker/containers/"+idA+"/hostname", "/mnt/hostname"), nil},
		{"cut", "510 480 8:1 /var/lib/docker/containers/" + idA + "/hostname /etc/hostname rw - ext4", nil},
	} {
		if d := cmp.Diff(test.want, containerFromMounts(strings.NewReader(test.text))); d != "" {
			t.Errorf("%s: -want +got:\n%s", test.name, d)
		}
	}
}

func TestUnescape(t *testing.T) {
	for text, want := range map[string]string{
		`/a\040b\011c\012d\134e`: "/a b\tc\nd\\e",
		`/a\04`:                  `/a\04`,
		`/a\049`:                 `/a\049`,
		`\777`:                   `\777`, // more than a byte holds
		`\\040`:                  `\ `,
		"/plain":                 "/plain",
	} {
		if got := unescape([]byte(text)); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func FuzzCgroup(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		p := parseCgroup(b)
		if c := p.container; c != nil {
			// An ID becomes part of a file name, where no name is known yet.
			if c.Name == "" && !fileName(c.ID) {
				t.Fatalf("%q: container %+v", b, c)
			}
			if c.Pod != "" && strings.Trim(c.Pod, "0123456789abcdef-") != "" {
				t.Fatalf("%q: pod %q", b, c.Pod)
			}
		}
		if strings.Trim(p.user, "0123456789") != "" {
			t.Fatalf("%q: user %q", b, p.user)
		}
	})
}

func FuzzMountinfo(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		if c := containerFromMounts(strings.NewReader(string(b))); c != nil {
			if c.ID != "" && !isID(c.ID) || c.ID == "" && c.Pod == "" {
				t.Fatalf("%q: container %+v", b, c)
			}
		}
		ReadMounts(strings.NewReader(string(b)), func(m *Mount) bool {
			if len(m.Root()) > len(b) || len(m.Point()) > len(b) {
				t.Fatalf("%q: longer than its text", b)
			}
			m.option("hidepid")
			return true
		})
	})
}
