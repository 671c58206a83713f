package tcpvet

import "strings"

// Container is what a process runs in.
type Container struct {
	ID      string // as the runtime gives it, mostly 64 hexadecimal digits
	Name    string // "" where the runtime does not leave it readable
	Runtime string // docker, containerd, cri-o, podman, lxc, systemd-nspawn, or "" where the path does not tell
	Pod     string // Kubernetes pod: its name, or its UID where the name is not readable
}

// ShortID gives the first twelve characters of the ID, as runtimes print it.
func (c *Container) ShortID() string {
	if len(c.ID) > 12 {
		return c.ID[:12]
	}
	return c.ID
}

// leastID is how many characters of an ID name a container.
const leastID = 4

// IsCalled tells whether a person may mean this container by name: its name, its ID
// or at least four characters that begin it, or its pod. nil is called nothing.
func (c *Container) IsCalled(name string) bool {
	return c != nil && name != "" && (c.Name == name || c.Pod == name || c.ID == name || len(name) >= leastID && strings.HasPrefix(c.ID, name))
}
